//! Files that can be read in one go.

use crate::source::Source;

const MOST_LINES: usize = 400;

/// No file of a service or a library is longer than the most, its tests not counted.
#[must_use]
pub fn too_long(sources: &[Source]) -> Vec<String> {
    sources
        .iter()
        .filter(|source| source.place().is_some() && source.code_lines > MOST_LINES)
        .map(|source| {
            format!(
                "{}: {} lines without its tests, of {MOST_LINES} at most",
                source.path, source.code_lines
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, lines: usize) -> Source {
        let tests = "#[cfg(test)]\nmod tests {\n\n\n}\n";
        Source::parse(path, &("\n".repeat(lines) + tests))
    }

    #[test]
    fn a_long_file_is_caught_and_its_tests_do_not_count() {
        assert_eq!(
            too_long(&[
                file("services/identity/src/grpc.rs", 400),
                file("libs/bus/src/lib.rs", 401),
                file("tests/xtask/src/main.rs", 500),
            ]),
            ["libs/bus/src/lib.rs: 401 lines without its tests, of 400 at most"]
        );
    }
}
