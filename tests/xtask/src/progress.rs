//! What a person at the terminal sees: each step, and how long it took.

use std::{
    fmt::Display,
    io::{self, Write},
    time::Instant,
};

use anyhow::Result;

/// Writes a line to standard error.
///
/// A terminal that has gone away is no reason to fail: what was started must be stopped all the
/// same, so a failure to write is ignored.
pub fn say(line: impl Display) {
    let _ = writeln!(io::stderr(), "xtask: {line}");
}

/// Does one step, and says when it starts and how long it took.
///
/// # Errors
///
/// The step's own.
pub fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    say(format_args!("{name} …"));
    let start = Instant::now();
    let outcome = work();
    let verdict = if outcome.is_ok() { "done" } else { "failed" };
    let seconds = start.elapsed().as_secs_f32();
    say(format_args!("{name}: {verdict} in {seconds:.1} s"));
    outcome
}
