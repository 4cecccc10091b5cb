//! What services measure of their own, on the metrics page beside what is measured of all.

use kernel::Duration;
use opentelemetry::{
    global,
    metrics::{self, Histogram},
};

use crate::telemetry::label;

/// Counts what has happened; `usher_things` is `usher_things_total` on the page.
#[derive(Clone)]
pub struct Counter(metrics::Counter<u64>);

impl Counter {
    /// A counter of a name. The values of its labels are few: each combination is a row of its own.
    pub fn new(name: &'static str) -> Self {
        Self(global::meter("usher").u64_counter(name).build())
    }

    /// One more.
    pub fn count<const N: usize>(&self, labels: [(&'static str, String); N]) {
        self.0.add(1, &labels.map(|(key, value)| label(key, value)));
    }
}

/// How long something took, in seconds up to a day; `usher_thing` is `usher_thing_seconds` on the page.
#[derive(Clone)]
pub struct Seconds(Histogram<f64>);

impl Seconds {
    /// A histogram of a name.
    pub fn new(name: &'static str) -> Self {
        let boundaries = [
            0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0, 36_000.0,
            86_400.0,
        ];
        let meter = global::meter("usher");
        let histogram = meter.f64_histogram(name).with_unit("s");
        Self(histogram.with_boundaries(boundaries.to_vec()).build())
    }

    /// It took this long; clocks that differ make nothing shorter than nothing.
    pub fn record(&self, time: Duration) {
        self.0.record(time.as_seconds_f64().max(0.0), &[]);
    }
}
