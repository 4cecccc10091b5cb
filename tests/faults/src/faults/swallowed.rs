use std::time::Duration;

use testkit::eventually;

use super::OFF;
use crate::{
    load::Ledger,
    outcome::Outcome,
    proxy::{Mode, Proxy},
    scene::Scene,
};

/// Loses what the organisation service publishes on its way to the broker, and then the connection.
///
/// What was not confirmed is published again; nothing is lost. Without confirms it would be.
pub async fn swallow_what_is_published(invitations: usize, off: &str) -> Outcome {
    let mut scene = Scene::set().await;
    let (proxy, url) = Proxy::before(&scene.platform.bus).await;
    scene.restart("organisation", &[("USHER_BUS_URL", &url), (OFF, off)]).await;
    let ledger = Ledger::default();
    // The connection is there: this one arrives.
    scene.invite(&ledger).await;
    scene.until_mailed(1).await;

    proxy.set(Mode::Swallow);
    for _ in 0..invitations {
        scene.invite(&ledger).await;
    }
    eventually("something was swallowed", async || (proxy.swallowed() > 0).then_some(())).await;
    proxy.reset().await;
    scene.patience = Duration::from_secs(20);
    scene.drain("publishes swallowed", &format!("{invitations} in all"), &ledger).await
}
