use std::{future::Future, time::Duration};

use tokio::time::{Instant, sleep};

/// Waits until `done`, or until a count has not grown for `patience`: for what may or may not go on
/// elsewhere. Answers when the count grew last.
pub async fn settled(
    patience: Duration,
    mut count: impl FnMut() -> usize,
    mut done: impl FnMut() -> bool,
) -> Instant {
    let (mut grown, mut last) = (Instant::now(), count());
    while !done() && grown.elapsed() < patience {
        sleep(Duration::from_millis(100)).await;
        let now = count();
        if now > last {
            (grown, last) = (Instant::now(), now);
        }
    }
    grown
}

/// Waits until a condition holds, and fails with its name after 90 s: for what happens elsewhere
/// at its own time, such as a mail that arrives.
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "not within 90 s: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}
