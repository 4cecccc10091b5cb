use api::notification::v1::{
    ReplayDeadLetterRequest, dead_letter_service_client::DeadLetterServiceClient,
};
use testkit::{eventually, with_token};

use crate::{lists::dead_letters, load::Ledger, outcome::Outcome, scene::Scene};

/// What came of a mailer that crashed again and again.
#[derive(Debug)]
pub struct Looped {
    /// Messages that were among the dead letters when the mailer ran again.
    pub dead_letters: usize,
    /// After these were replayed.
    pub outcome: Outcome,
}

/// Lets the mailer crash at the first mail that it is about to send, more often than the broker hands a
/// message out, while others wait beside it in the same process. There must be more invitations than it
/// takes at once (192): those in its hands are set aside after 21 crashes.
///
/// All are mailed when it runs again, or are among the dead letters and mailed when those are replayed.
pub async fn crash_in_a_loop(invitations: usize, crashes: usize) -> Looped {
    let mut scene = Scene::set().await;
    scene.platform.process("mailer").kill();
    let ledger = Ledger::default();
    for _ in 0..invitations {
        scene.invite(&ledger).await;
    }
    for _ in 0..crashes {
        scene.begin_again("mailer", &[("FAULT_ABORT", "before-claim")]);
        scene.until_crashed("mailer").await;
    }
    scene.platform.process("mailer").start_again();
    scene.platform.wait_until_ready().await;
    let sink = scene.sink();
    eventually("each is mailed or set aside", async || {
        (sink.taken() + dead_letters(&scene).await.len() >= invitations).then_some(())
    })
    .await;
    let dead_letters = replay(&scene).await;
    let load = format!("{invitations} in all");
    let outcome = scene.drain("mailer in a crash loop", &load, &ledger).await;
    Looped { dead_letters, outcome: Outcome { times: crashes, ..outcome } }
}

/// Replays all dead letters; how many there were.
async fn replay(scene: &Scene) -> usize {
    let (owner, dead_letters) = (scene.platform.owner().await, dead_letters(scene).await);
    let mut client = DeadLetterServiceClient::new(scene.platform.notification());
    for dead in &dead_letters {
        let request = ReplayDeadLetterRequest { id: dead.id.clone() };
        let replayed = client.replay_dead_letter(with_token(owner.token(), request)).await;
        replayed.expect("it is replayed");
    }
    dead_letters.len()
}
