//! How many mails go to a domain at once, so that one that is slow or dead holds up no other.
//!
//! All mails share [`SLOTS`] places of each queue and `mails_at_once` connections; the addresses of one
//! domain have `mails_at_once_per_domain` of them. What is above that
//!
//! - waits in its place while the domain is *prompt*: its last mail, and each that is on its way, has
//!   been with the mail server for less than a second. Its turn comes soon.
//! - gives its place back when the domain is not, and comes again: after the first retry step, or a
//!   longer one for which the domain has been silent already. That is no attempt, and claims nothing.
//!
//! So each of `k` slow domains holds its share, and once, when it turns slow, at most one second of all
//! the places; the others have the `mails_at_once - k * mails_at_once_per_domain` places that are left.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use service::{Refusal, Settings};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until, timeout},
};

/// How many messages of a queue are handled at once.
pub(crate) const SLOTS: u16 = 48;

/// What a mail to a prompt domain takes at most.
const PROMPT: Duration = Duration::from_secs(1);
/// The longest that what is above a domain's share stays away because the domain is silent.
const LONGEST_SILENCE: Duration = Duration::from_secs(300);
/// How much sooner than its rate allows a mail may go: as long as one stays away.
const BURST: Duration = Duration::from_secs(5);
/// How long a mail waits for a place among all.
const WAITING: Duration = Duration::from_secs(60);
/// How many domains are remembered.
const REMEMBERED: usize = 10_000;

/// The lanes of all domains.
pub(crate) struct Lanes {
    all: Arc<Semaphore>,
    share: usize,
    /// The time between two mails to a domain.
    interval: Duration,
    lanes: Mutex<HashMap<String, Arc<Lane>>>,
}

struct Lane {
    seats: Arc<Semaphore>,
    state: Mutex<State>,
}

struct State {
    /// When each mail that is on its way set out, by a number.
    begun: Vec<(u64, Instant)>,
    next: u64,
    last_was_slow: bool,
    last_ended: Instant,
    /// When the next mail may go by its rate.
    due: Instant,
}

/// A place among the mails to a domain, and among all.
pub(crate) struct Seat {
    lane: Arc<Lane>,
    _of_domain: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

/// As long as it lives, the mail server has the mail.
pub(crate) struct OnItsWay<'a> {
    lane: &'a Lane,
    number: u64,
}

impl Lanes {
    /// Lanes as wide as the settings say.
    pub(crate) fn new(settings: &Settings) -> Arc<Self> {
        let share = settings.mails_at_once_per_domain;
        Self::of(settings.mails_at_once, share, settings.mails_per_domain_minute)
    }

    fn of(all: usize, share: usize, per_minute: u32) -> Arc<Self> {
        let interval = Duration::from_secs(60).checked_div(per_minute).unwrap_or_default();
        let all = Arc::new(Semaphore::new(all));
        Arc::new(Self { all, share, interval, lanes: Mutex::default() })
    }

    /// A place for a mail to a domain.
    pub(crate) async fn seat(&self, domain: &str) -> Result<Seat, Refusal> {
        let later = |pause, why: &str| Err(Refusal::Later(pause, why.to_owned()));
        let closed = |_| Refusal::Retry("the mailer ends".to_owned());
        let lane = self.lane(domain);
        let mut waiting = Box::pin(lane.seats.clone().acquire_owned());
        let of_domain = loop {
            let prompt_until = lock(&lane.state).prompt_until();
            tokio::select! {
                biased;
                seat = &mut waiting => break seat.map_err(closed)?,
                () = sleep_until(prompt_until) => {}
            }
            if let Some(silent) = lock(&lane.state).silent_for() {
                return later(silent, "the domain is slow and has its share");
            }
        };
        if let Some(early) = lock(&lane.state).take_turn(self.interval) {
            return later(early, "the domain has had its mails of this minute");
        }
        match timeout(WAITING, self.all.clone().acquire_owned()).await {
            Ok(of_all) => {
                let _of_all = of_all.map_err(closed)?;
                Ok(Seat { lane, _of_domain: of_domain, _of_all })
            }
            Err(_) => later(Duration::ZERO, "all places are taken"),
        }
    }

    fn lane(&self, domain: &str) -> Arc<Lane> {
        let mut lanes = lock(&self.lanes);
        if lanes.len() >= REMEMBERED {
            lanes.retain(|_, lane| Arc::strong_count(lane) > 1);
        }
        let lane = lanes.entry(domain.to_owned()).or_insert_with(|| {
            let now = Instant::now();
            let state = State {
                begun: Vec::new(),
                next: 0,
                last_was_slow: false,
                last_ended: now,
                due: now,
            };
            let seats = Arc::new(Semaphore::new(self.share));
            Arc::new(Lane { seats, state: Mutex::new(state) })
        });
        lane.clone()
    }
}

impl State {
    /// When the domain stops being prompt, unless something changes; past if it has.
    fn prompt_until(&self) -> Instant {
        let oldest = self.begun.first().map_or_else(Instant::now, |(_, begun)| *begun);
        if self.last_was_slow && !self.begun.is_empty() { oldest } else { oldest + PROMPT }
    }

    /// For how long nothing has come of the domain's mails; `None` if it is prompt.
    fn silent_for(&self) -> Option<Duration> {
        let (_, oldest) = self.begun.first()?;
        let now = Instant::now();
        let is_slow = self.last_was_slow || now - *oldest >= PROMPT;
        is_slow.then(|| (now - self.last_ended.max(*oldest)).min(LONGEST_SILENCE))
    }

    /// Takes the next turn by the domain's rate; how much too early it is, if it is.
    fn take_turn(&mut self, interval: Duration) -> Option<Duration> {
        let now = Instant::now();
        let due = self.due.max(now);
        if due > now + BURST {
            return Some(due - now - BURST);
        }
        self.due = due + interval;
        None
    }
}

impl Seat {
    /// The mail sets out.
    pub(crate) fn on_its_way(&self) -> OnItsWay<'_> {
        let mut state = lock(&self.lane.state);
        let number = state.next;
        state.next += 1;
        state.begun.push((number, Instant::now()));
        OnItsWay { lane: &self.lane, number }
    }
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.lane.state);
        state.last_ended = Instant::now();
        if let Some(place) = state.begun.iter().position(|(number, _)| *number == self.number) {
            let (_, begun) = state.begun.remove(place);
            state.last_was_slow = begun.elapsed() >= PROMPT;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
