use super::OFF;
use crate::{load::Ledger, outcome::Outcome, scene::Scene};

/// Lets the mailer crash each time between its record and its acknowledgement, so that the event comes
/// again.
///
/// The record tells that the mail is sent, and none goes out again. Without it one would.
pub async fn deliver_twice(invitations: usize, off: &str) -> Outcome {
    let mut scene = Scene::set().await;
    scene.restart("notification", &[(OFF, off)]).await;
    let ledger = Ledger::default();
    for _ in 0..invitations {
        scene.begin_again("mailer", &[("FAULT_ABORT", "before-acknowledgement")]);
        scene.invite(&ledger).await;
        scene.until_crashed("mailer").await;
        // It comes again, and is done with before the next: no other mail is in flight at a crash.
        scene.platform.process("mailer").start_again();
        scene.until_consumed("mailer", 1).await;
        scene.platform.process("mailer").terminate();
        scene.platform.process("mailer").exit().await;
    }
    scene.platform.process("mailer").start_again();
    // A marker behind the copies.
    scene.invite(&ledger).await;
    let outcome = scene.drain("event comes twice", &format!("{invitations} in all"), &ledger).await;
    Outcome { times: invitations, ..outcome }
}
