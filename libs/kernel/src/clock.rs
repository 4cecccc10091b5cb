use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use uuid::{NoContext, Timestamp, Uuid};

/// A moment in UTC. Whole microseconds, which is what both databases keep.
pub type Time = DateTime<Utc>;

/// Where the time comes from. Injected, so that tests move it instead of sleeping.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// A clock that stands still until it is moved.
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
                let seconds = now.timestamp().unsigned_abs();
                Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, now.timestamp_subsec_nanos()))
            }
        }
    }
}

/// A clock for tests. Clones share the time.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that stands at `start`.
    pub fn at(start: Time) -> Self {
        Self(Arc::new(AtomicI64::new(start.timestamp_micros())))
    }

    /// Moves the time forward.
    pub fn advance(&self, by: TimeDelta) {
        self.0.fetch_add(by.num_microseconds().unwrap_or(0), Ordering::SeqCst);
    }

    fn now(&self) -> Time {
        DateTime::from_timestamp_micros(self.0.load(Ordering::SeqCst)).unwrap_or_default()
    }
}
