use std::sync::{Arc, Mutex, PoisonError};

use bus::{Bus, DeadLetter, DeadLetterHandler};
use tokio_util::sync::CancellationToken;

/// What consumers have given up, where no service keeps it.
#[derive(Clone, Default)]
pub struct DeadLetters(Arc<Mutex<Vec<DeadLetter>>>);

impl DeadLetters {
    /// Keeps the dead letters of a bus from now on, until the test ends.
    pub fn keep(bus: &Bus) -> Self {
        let this = Self::default();
        let kept = this.clone();
        let handler: DeadLetterHandler = Arc::new(move |dead| {
            kept.0.lock().unwrap_or_else(PoisonError::into_inner).push(dead);
            Box::pin(async { Ok(()) })
        });
        tokio::spawn(bus.keep_dead_letters(handler, CancellationToken::new()));
        this
    }

    /// Those so far.
    pub fn all(&self) -> Vec<DeadLetter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
