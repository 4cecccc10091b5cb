use std::time::Duration;

use testkit::{Reply, eventually};

use super::OFF;
use crate::{
    load::Ledger,
    outcome::Outcome,
    proxy::{Mode, Proxy},
    scene::Scene,
};

/// Cuts a mailer off from the broker while the mail server makes it wait, so that the event comes to a
/// second mailer before the first has recorded anything.
///
/// The first one's claim holds: the second waits, and one mail goes out. Without the claim's lease both
/// would send.
pub async fn overtake_a_mailer(off: &str) -> Outcome {
    let mut scene = Scene::set().await;
    let (proxy, url) = Proxy::before(&scene.platform.bus).await;
    scene.restart("notification", &[(OFF, off)]).await;
    scene.restart("mailer", &[("USHER_BUS_URL", &url)]).await;
    let sink = scene.platform.sink.as_ref().expect("a mail server");
    sink.reply(&[Reply::Hold]);
    let ledger = Ledger::default();
    scene.invite(&ledger).await;
    eventually("the first mailer sends", async || (sink.offered().len() == 1).then_some(())).await;

    let second = scene.platform.start_another("mailer", &[]).await;
    proxy.set(Mode::Close);
    let sink = scene.platform.sink.as_ref().expect("a mail server");
    eventually("the second mailer has the event", async || {
        let refused = second.stderr().contains("refused");
        (refused || sink.offered().len() == 2).then_some(())
    })
    .await;
    sink.release();
    eventually("the first mail is taken", async || (sink.taken() > 0).then_some(())).await;
    // A marker behind it, which the second mailer sends: by then it would have sent the other.
    scene.invite(&ledger).await;
    scene.patience = Duration::from_secs(20);
    Outcome { permitted: 0, ..scene.drain("mailer overtaken", "2 in all", &ledger).await }
}
