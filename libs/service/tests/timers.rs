//! A module's timers run with it.

use std::sync::Arc;

use service::{Module, Timer};
use testkit::Bench;
use tokio::{
    sync::Notify,
    time::{Duration, timeout},
};

#[tokio::test]
async fn a_timer_runs_with_its_module() {
    let (bench, ran) = (Bench::sqlite().await, Arc::new(Notify::new()));
    let run = ran.clone();
    let timer = Timer::new("test.timer", move || {
        run.notify_one();
        Box::pin(async { Ok(false) })
    });
    let _served = bench.serve(Module { timers: vec![timer], ..Module::new("test") }).await;
    timeout(Duration::from_secs(10), ran.notified()).await.expect("it runs");
}
