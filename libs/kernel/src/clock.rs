use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Instant,
};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use uuid::{ContextV7, Timestamp, Uuid};

/// A moment in UTC. Whole microseconds, which is what both databases keep.
pub type Time = DateTime<Utc>;

/// Where the time comes from. Injected, so that tests move it instead of sleeping.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// A clock that a test moves.
    Manual(ManualClock),
}

impl Clock {
    /// The present moment.
    pub fn now(&self) -> Time {
        match self {
            Clock::System => {
                let now = Utc::now();
                now.duration_trunc(TimeDelta::microseconds(1)).unwrap_or(now)
            }
            Clock::Manual(clock) => clock.now(),
        }
    }

    /// A new identifier (UUIDv7, RFC 9562): ordered by the moment of its making.
    pub fn new_id(&self) -> Uuid {
        match self {
            Clock::System => Uuid::now_v7(),
            Clock::Manual(clock) => {
                let now = clock.now();
                let (seconds, nanos) =
                    (now.timestamp().unsigned_abs(), now.timestamp_subsec_nanos());
                Uuid::new_v7(Timestamp::from_unix(&*clock.order, seconds, nanos))
            }
        }
    }
}

/// A clock for tests, which stands still or runs, and which a test moves forward. Clones share the time,
/// and the order of the identifiers made in one moment.
#[derive(Clone)]
pub struct ManualClock {
    microseconds: Arc<AtomicI64>,
    /// Since when it runs; none if it stands.
    running: Option<Instant>,
    order: Arc<Mutex<ContextV7>>,
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ManualClock({})", self.now())
    }
}

impl ManualClock {
    /// A clock that stands at `start`.
    pub fn at(start: Time) -> Self {
        Self {
            microseconds: Arc::new(AtomicI64::new(start.timestamp_micros())),
            running: None,
            order: Arc::new(Mutex::new(ContextV7::new())),
        }
    }

    /// A clock that runs from `start`, so that what is put off comes again by itself.
    pub fn running_from(start: Time) -> Self {
        Self { running: Some(Instant::now()), ..Self::at(start) }
    }

    /// Moves the time forward.
    pub fn advance(&self, by: TimeDelta) {
        self.microseconds.fetch_add(by.num_microseconds().unwrap_or(0), Ordering::SeqCst);
    }

    fn now(&self) -> Time {
        let run = self.running.map_or(0, |since| since.elapsed().as_micros());
        let moved = self.microseconds.load(Ordering::SeqCst);
        let now = moved.saturating_add(i64::try_from(run).unwrap_or(i64::MAX));
        DateTime::from_timestamp_micros(now).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_runs_goes_on_after_it_was_moved() {
        let clock = ManualClock::running_from(Time::UNIX_EPOCH);
        clock.advance(TimeDelta::hours(1));
        let moved = clock.now();
        assert!(moved >= Time::UNIX_EPOCH + TimeDelta::hours(1));
        while clock.now() == moved {
            std::thread::yield_now();
        }
        assert!(clock.now() > moved);
    }

    #[test]
    fn identifiers_are_in_the_order_of_their_making_even_when_the_clock_stands() {
        let clock = Clock::Manual(ManualClock::at(Time::UNIX_EPOCH));
        let ids: Vec<_> = (0..1_000).map(|_| clock.new_id()).collect();
        assert!(ids.is_sorted());
    }
}
