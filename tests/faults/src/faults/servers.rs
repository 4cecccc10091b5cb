use super::kills::at_a_random_moment;
use crate::{
    outcome::Outcome,
    own::{Kind, Own},
    scene::Scene,
};

/// Kills the broker, the database or the cache, and starts it again, so many times.
///
/// Nothing is lost and nothing comes twice: what the broker has not confirmed is published again, and
/// what it hands out again finds its delivery claimed or done; what was acknowledged to a client is in
/// the database; nothing is in the cache alone.
pub async fn kill_server(kind: Kind, times: usize, per_second: u32) -> Outcome {
    let own = Own::start().await;
    let mut scene = Scene::on(own.at().clone()).await;
    let load = scene.load(per_second);
    scene.until_mailed(1).await;
    for _ in 0..times {
        at_a_random_moment(&load, per_second).await;
        own.kill(kind).await;
        own.start_again(kind).await;
    }
    let ledger = load.finish().await;
    scene.platform.wait_until_ready().await;
    let load = format!("{per_second}/s");
    let outcome = scene.drain(&format!("kill -9 of {kind}"), &load, &ledger).await;
    Outcome { times, ..outcome }
}
