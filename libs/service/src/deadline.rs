//! Deadlines that travel: what is left of a call's time is what its own calls may take.

use std::{future::Future, time::Duration};

use tokio::time::Instant;

tokio::task_local! {
    static DEADLINE: Instant;
}

/// Runs `work` under a deadline; `None` when the time was over first.
pub async fn within<F: Future>(time: Duration, work: F) -> Option<F::Output> {
    let deadline = Instant::now() + time;
    let deadline = DEADLINE.try_with(|outer| deadline.min(*outer)).unwrap_or(deadline);
    tokio::time::timeout_at(deadline, DEADLINE.scope(deadline, work)).await.ok()
}

/// What is left of the current call's time; `None` outside any call.
pub fn remaining() -> Option<Duration> {
    DEADLINE.try_with(|deadline| deadline.saturating_duration_since(Instant::now())).ok()
}

/// Reads a `grpc-timeout` header (gRPC over HTTP/2: up to eight digits and a unit).
pub(crate) fn parse_header(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3_600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_read_in_every_unit() {
        assert_eq!(parse_header("250m"), Some(Duration::from_millis(250)));
        assert_eq!(parse_header("2S"), Some(Duration::from_secs(2)));
        for bad in ["", "S", "9", "123456789S", "2x", "\u{e9}"] {
            assert_eq!(parse_header(bad), None, "{bad:?}");
        }
    }

    #[tokio::test]
    async fn an_inner_deadline_cannot_outlive_the_outer_one() {
        let left = within(Duration::from_secs(1), async {
            within(Duration::from_secs(60), async { remaining() }).await
        });
        assert!(left.await.flatten().flatten().unwrap() <= Duration::from_secs(1));
        assert_eq!(remaining(), None);
    }
}
