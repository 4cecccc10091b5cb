use std::{future::Future, sync::Arc, time::Duration};

use db::DbErr;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::{
    deadline,
    telemetry::{Instruments, label},
};

/// How often a timer looks whether something is due.
const POLL: Duration = Duration::from_secs(1);
/// The longest pause after failures in a row.
const LONGEST: Duration = Duration::from_secs(30);
/// What one run may take, a broken connection to the database included.
const PATIENCE: Duration = Duration::from_secs(45);

type Work = Arc<dyn Fn() -> BoxFuture<'static, Result<bool, DbErr>> + Send + Sync>;

/// Something to be done when its time has come, such as asking again after some days.
///
/// The work reads the injected clock, does some of what is due and answers whether there may be more
/// at once. Several instances run it at the same time, and any run may be cut off: so it claims a due
/// row by compare and set, in the transaction of what it does about it.
#[derive(Clone)]
pub struct Timer {
    name: &'static str,
    work: Work,
}

impl Timer {
    /// A timer; `name` is `service.purpose`, its name in logs and metrics.
    pub fn new<F>(name: &'static str, work: F) -> Self
    where
        F: Fn() -> BoxFuture<'static, Result<bool, DbErr>> + Send + Sync + 'static,
    {
        Self { name, work: Arc::new(work) }
    }

    /// Runs the work until `stop`: again at once while there is more, else after 1 s; after failures
    /// in a row with pauses that grow to about 30 s. A run that has begun is finished.
    pub(crate) async fn run(self, instruments: Instruments, stop: CancellationToken) {
        let mut failures = 0;
        while !stop.is_cancelled() {
            let outcome = bounded((self.work)()).await;
            let word = match outcome {
                Ok(true) => "more",
                Ok(false) => "idle",
                Err(_) => "failed",
            };
            let labels = [label("timer", self.name), label("outcome", word)];
            instruments.timer_runs.add(1, &labels);
            let pause = match outcome {
                Ok(more) => {
                    failures = 0;
                    if more { Duration::ZERO } else { POLL }
                }
                Err(error) => {
                    // Instances that lost the database together do not come back together.
                    let pause = pause_after(failures).mul_f64(rand::random_range(0.5..1.5));
                    failures += 1;
                    tracing::warn!(timer = self.name, %error, ?pause, "a timer's run failed");
                    pause
                }
            };
            let _ = tokio::time::timeout(pause, stop.cancelled()).await;
        }
    }
}

/// 1 s, 2 s, 4 s, … 30 s; `failures` are those before this one.
fn pause_after(failures: u32) -> Duration {
    POLL.saturating_mul(2_u32.saturating_pow(failures)).min(LONGEST)
}

async fn bounded(run: impl Future<Output = Result<bool, DbErr>>) -> Result<bool, DbErr> {
    let late = || Err(DbErr::Custom("it took longer than 45 s".to_owned()));
    deadline::within(PATIENCE, run).await.unwrap_or_else(late)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::{sync::Notify, time::Instant};

    use super::*;

    fn failed() -> Result<bool, DbErr> {
        Err(DbErr::Custom("away".to_owned()))
    }

    /// Runs a timer that answers in turn as told and then stops; answers how many seconds lay between
    /// one run and the next.
    async fn pauses(answers: Vec<Result<bool, DbErr>>) -> Vec<f64> {
        let (begun, stop) = (Instant::now(), CancellationToken::new());
        let (told, runs) = (stop.clone(), Arc::new(Mutex::new(Vec::new())));
        let (answers, noted) = (Mutex::new(answers.into_iter()), runs.clone());
        let timer = Timer::new("test.timer", move || {
            noted.lock().unwrap().push(begun.elapsed().as_secs_f64());
            let answer = answers.lock().unwrap().next().unwrap_or_else(|| {
                told.cancel();
                Ok(true)
            });
            Box::pin(async { answer })
        });
        timer.run(Instruments::new(), stop).await;
        runs.lock().unwrap().windows(2).map(|runs| runs[1] - runs[0]).collect()
    }

    fn assert_about(pauses: &[f64], expected: &[f64]) {
        assert_eq!(pauses.len(), expected.len());
        for (pause, expected) in pauses.iter().zip(expected) {
            // The clock ticks in milliseconds.
            let about = expected * 0.5..=expected * 1.5 + 0.002;
            assert!(about.contains(pause), "{pauses:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_due_is_done_at_once_and_then_looked_at_every_second() {
        let answers = vec![Ok(true), Ok(true), Ok(false), Ok(false), Ok(true)];
        let whole: Vec<_> = pauses(answers).await.into_iter().map(f64::round).collect();
        assert_eq!(whole, [0.0, 0.0, 1.0, 1.0, 0.0]);
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_with_failures_and_shrink_with_a_success() {
        let mut answers: Vec<_> = (0..7).map(|_| failed()).collect();
        answers.extend([Ok(false), failed()]);
        let pauses = pauses(answers).await;
        assert_about(&pauses, &[1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 1.0, 1.0]);
    }

    #[tokio::test(start_paused = true)]
    async fn timers_that_failed_together_do_not_come_back_together() {
        let failures = || (0..7).map(|_| failed()).collect();
        assert_ne!(pauses(failures()).await, pauses(failures()).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_hangs_is_given_up_and_comes_again() {
        let (stop, runs) = (CancellationToken::new(), Arc::new(Mutex::new(0)));
        let told = stop.clone();
        let begun = Instant::now();
        let timer = Timer::new("test.timer", move || {
            let mut runs = runs.lock().unwrap();
            *runs += 1;
            match *runs {
                1 => Box::pin(std::future::pending()),
                _ => {
                    told.cancel();
                    Box::pin(async { Ok(false) })
                }
            }
        });
        timer.run(Instruments::new(), stop).await;
        let pause = begun.elapsed() - PATIENCE;
        assert_about(&[pause.as_secs_f64()], &[1.0]);
    }

    #[tokio::test]
    async fn a_run_that_has_begun_is_finished_at_a_stop() {
        let (stop, begun, finish) =
            (CancellationToken::new(), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (started, finished) = (begun.clone(), finish.clone());
        let timer = Timer::new("test.timer", move || {
            let (started, finished) = (started.clone(), finished.clone());
            Box::pin(async move {
                started.notify_one();
                finished.notified().await;
                Ok(true)
            })
        });
        let running = tokio::spawn(timer.run(Instruments::new(), stop.clone()));
        begun.notified().await;
        stop.cancel();
        tokio::task::yield_now().await;
        assert!(!running.is_finished(), "it waits for what has begun");
        finish.notify_one();
        tokio::time::timeout(Duration::from_secs(10), running).await.expect("it ends").unwrap();
    }
}
