//! Ctrl-C and its relatives, noticed at the next look, so that clean-up runs as on any other path.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

const BETWEEN_LOOKS: Duration = Duration::from_millis(25);

/// Whether somebody wants this process to end.
#[derive(Clone, Default)]
pub struct Interruption(Arc<AtomicBool>);

impl Interruption {
    /// Takes over SIGINT, SIGTERM and SIGHUP, which from now on only raise a flag.
    ///
    /// # Errors
    ///
    /// The operating system refuses the handler.
    pub fn listen() -> Result<Self> {
        let interruption = Self::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&interruption.0))
                .context("cannot listen for signals")?;
        }
        Ok(interruption)
    }

    /// Asks for the end from within.
    pub fn request(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether the end was asked for.
    pub fn happened(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// Looks again and again until `look` finds something.
    ///
    /// # Errors
    ///
    /// The look's own, an interruption, or `patience` running out.
    pub fn or_until<T>(
        &self,
        patience: Duration,
        mut look: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let start = Instant::now();
        loop {
            if let Some(found) = look()? {
                return Ok(found);
            }
            if self.happened() {
                bail!("interrupted");
            }
            if start.elapsed() > patience {
                bail!("gave up after {} s", patience.as_secs());
            }
            thread::sleep(BETWEEN_LOOKS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends_when_something_is_found() {
        let mut looks = 0;
        let found = Interruption::default().or_until(Duration::from_secs(60), || {
            looks += 1;
            Ok((looks == 2).then_some("there"))
        });
        assert_eq!(found.expect("was found"), "there");
    }

    #[test]
    fn waiting_ends_when_the_end_is_asked_for() {
        let interruption = Interruption::default();
        interruption.request();
        let found = interruption.or_until(Duration::MAX, || Ok(None::<()>));
        assert_eq!(found.expect_err("nothing was found").to_string(), "interrupted");
    }

    #[test]
    fn waiting_ends_when_patience_does() {
        let found = Interruption::default().or_until(Duration::ZERO, || Ok(None::<()>));
        assert_eq!(found.expect_err("nothing was found").to_string(), "gave up after 0 s");
    }
}
