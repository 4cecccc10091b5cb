//! Times of many calls, one after the other.

use std::time::{Duration, Instant};

use anyhow::Result;

/// How long each call of a series took, sorted.
pub struct Times(Vec<Duration>);

/// Long series end here, so that what is slow does not hold up the rest.
const ENOUGH: Duration = Duration::from_secs(3);

impl Times {
    /// Calls so often, or for three seconds, and takes the time of each.
    pub async fn of<T>(count: u32, mut call: impl AsyncFnMut(u32) -> Result<T>) -> Result<Self> {
        let mut times = Vec::new();
        let started = Instant::now();
        for index in 0..count {
            let begun = Instant::now();
            call(index).await?;
            times.push(begun.elapsed());
            if started.elapsed() > ENOUGH {
                break;
            }
        }
        times.sort_unstable();
        Ok(Self(times))
    }

    /// The time that half of the calls stayed below, in milliseconds.
    pub fn median(&self) -> f64 {
        self.at(50)
    }

    /// A percentile, in milliseconds.
    pub fn at(&self, percent: usize) -> f64 {
        let index = (self.0.len() * percent / 100).min(self.0.len().saturating_sub(1));
        self.0.get(index).map_or(0.0, |time| time.as_secs_f64() * 1_000.0)
    }
}
