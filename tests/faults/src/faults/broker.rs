use std::time::Duration;

use crate::{
    outcome::Outcome,
    own::{Kind, Own},
    scene::Scene,
};

/// Kills the broker and leaves it down for a time, while invitations are made.
///
/// Every call is answered with success at once; the mails go out when the broker is back.
pub async fn leave_broker_down(time: Duration, per_second: u32) -> Outcome {
    let own = Own::start().await;
    let mut scene = Scene::on(own.at().clone()).await;
    let load = scene.load(per_second);
    scene.until_mailed(1).await;
    own.kill(Kind::RabbitMq).await;
    load.goes_on(time).await;
    let ledger = load.finish().await;
    scene.expect_waiting(&ledger, ledger.acknowledged().len() / 2);
    own.start_again(Kind::RabbitMq).await;
    scene.platform.wait_until_ready().await;
    let fault = format!("broker down for {} s", time.as_secs());
    scene.drain(&fault, &format!("{per_second}/s"), &ledger).await
}

/// Lets the broker believe that its disk is full, so that it takes nothing, while invitations are made.
///
/// Every call is answered with success at once; the mails go out when there is room again.
pub async fn fill_disk_of_broker(invitations: usize, per_second: u32) -> Outcome {
    let own = Own::start().await;
    let mut scene = Scene::on(own.at().clone()).await;
    let load = scene.load(per_second);
    scene.until_mailed(1).await;
    // More than any disk has.
    own.tell_broker(&["set_disk_free_limit", "1000000000000000"]).await;
    load.until_attempted(load.ledger().attempted() + invitations).await;
    let ledger = load.finish().await;
    scene.expect_waiting(&ledger, invitations / 2);
    own.tell_broker(&["set_disk_free_limit", "50000000"]).await;
    scene.platform.wait_until_ready().await;
    let load = format!("{per_second}/s");
    scene.drain("disk alarm of the broker", &load, &ledger).await
}
