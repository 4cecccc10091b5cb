//! Times of many calls, one after the other.

use std::time::{Duration, Instant};

/// How long each call of a series took, sorted.
pub struct Times(Vec<Duration>);

impl Times {
    /// Calls so often, and takes the time of each.
    pub async fn of<T>(count: usize, mut call: impl AsyncFnMut(usize) -> T) -> Self {
        let mut times = Vec::with_capacity(count);
        for index in 0..count {
            let begun = Instant::now();
            call(index).await;
            times.push(begun.elapsed());
        }
        times.sort_unstable();
        Self(times)
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
