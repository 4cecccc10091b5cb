//! The results of all the test binaries, added up.

use std::fmt;

/// How many tests passed and how many failed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub passed: u64,
    pub failed: u64,
}

impl Totals {
    /// Adds what a line says, if it is one with which a test binary closes:
    /// `test result: ok. 3 passed; 0 failed; …`.
    pub fn add(&mut self, line: &str) {
        let Some((_, result)) = line.split_once("test result: ") else {
            return;
        };
        let count = |of: &str| {
            result
                .split(['.', ';'])
                .find_map(|part| part.trim().strip_suffix(of)?.trim().parse::<u64>().ok())
        };
        if let (Some(passed), Some(failed)) = (count("passed"), count("failed")) {
            self.passed += passed;
            self.failed += failed;
        }
    }
}

/// The closing line, in the form that continuous integration reads.
impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_of_all_binaries_are_added_up() {
        let mut totals = Totals::default();
        for line in [
            "running 3 tests",
            "test a ... ok",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s",
            "test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s",
        ] {
            totals.add(line);
        }
        assert_eq!(totals.to_string(), "13 passed, 2 failed");
    }

    #[test]
    fn a_test_that_speaks_of_results_is_not_counted() {
        let mut totals = Totals::default();
        totals.add("test result: none today");
        totals.add("5 passed; 5 failed");
        assert_eq!(totals, Totals::default());
    }
}
