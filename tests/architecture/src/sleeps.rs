//! Tests wait for conditions, not for time to pass.

use crate::source::Source;

/// No test sleeps. `xtask`, which waits for other programs, may.
#[must_use]
pub fn in_tests(sources: &[Source]) -> Vec<String> {
    let mut offences = Vec::new();
    for source in sources {
        if source.path.starts_with("tests/xtask/") {
            continue;
        }
        for pair in source.tests.windows(2) {
            if pair[0].text == "sleep" && pair[1].text == "(" {
                offences.push(format!("{}:{}: a test sleeps", source.path, pair[0].line));
            }
        }
    }
    offences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleeping_test_is_caught() {
        let text = "fn f() { thread::sleep(d) }\n\
                    #[cfg(test)]\n\
                    mod tests { async fn f() { sleep(d).await; \"sleep()\" } }\n";
        assert_eq!(
            in_tests(&[
                Source::parse("libs/bus/src/lib.rs", text),
                Source::parse("tests/stories/tests/invite.rs", text),
                Source::parse("tests/xtask/src/main.rs", text),
            ]),
            [
                "libs/bus/src/lib.rs:3: a test sleeps",
                "tests/stories/tests/invite.rs:1: a test sleeps",
                "tests/stories/tests/invite.rs:3: a test sleeps",
            ]
        );
    }
}
