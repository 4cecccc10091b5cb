use super::kills::{IN_FLIGHT, at_a_random_moment};
use crate::{load::Ledger, outcome::Outcome, scene::Scene};

/// A place between two steps of the pipe at which a process may crash.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Its name in the code.
    pub point: &'static str,
    /// Who comes by.
    pub service: &'static str,
    /// How many mails one crash there may send twice.
    pub permitted: usize,
}

/// Every window, from the commit of an invitation to the acknowledgement of its event.
pub const WINDOWS: [Window; 7] = [
    // The client was not told; it asks again, and is told of the same invitation.
    Window { point: "after-commit", service: "organisation", permitted: 0 },
    // The event is with the broker, or not; it is published again when its lease is over.
    Window { point: "after-publish", service: "organisation", permitted: 0 },
    // The broker has it, and the outbox does not know.
    Window { point: "after-confirm", service: "organisation", permitted: 0 },
    // Nobody has claimed the mail, and the mailer asks again.
    Window { point: "before-claim-commit", service: "notification", permitted: 0 },
    // Nobody knows that the event about the mail was handled, and it was not.
    Window { point: "before-inbox-commit", service: "organisation", permitted: 0 },
    // The mail server has the mail, and nobody knows: the one window in which a mail goes out twice.
    // Those that are sent beside it may be in the same place.
    Window { point: "after-smtp-250", service: "mailer", permitted: IN_FLIGHT },
    // The mail is recorded, and the event comes again.
    Window { point: "before-acknowledgement", service: "mailer", permitted: IN_FLIGHT },
];

/// Lets a process abort in a window, and starts it again, so many times.
pub async fn crash_in_window(window: Window, times: usize, per_second: u32) -> Outcome {
    let Window { point, service, permitted } = window;
    let mut scene = Scene::set().await;
    let load = scene.load(per_second);
    scene.until_mailed(1).await;
    for _ in 0..times {
        let passes = rand::random_range(1..=5);
        let abort = format!("{point}:{passes}");
        scene.begin_again(service, &[("FAULT_ABORT", &abort)]);
        scene.until_crashed(service).await;
        scene.platform.process(service).start_again();
        at_a_random_moment(&load, per_second).await;
    }
    let ledger = load.finish().await;
    scene.platform.wait_until_ready().await;
    let load = format!("{per_second}/s");
    let outcome = scene.drain(&format!("crash {point}"), &load, &ledger).await;
    // The mailer is killed twice a time: once to be started with the fault.
    Outcome { times, permitted: 2 * permitted * times, ..outcome }
}

/// Lets the mailer crash each time that the mail server has taken a mail, one mail at a time.
///
/// Each goes out twice, no more often and with the same Message-ID: the one duplicate that cannot be
/// avoided.
pub async fn crash_behind_each_mail(mails: usize) -> Outcome {
    let mut scene = Scene::set().await;
    let ledger = Ledger::default();
    for _ in 0..mails {
        scene.begin_again("mailer", &[("FAULT_ABORT", "after-smtp-250")]);
        scene.invite(&ledger).await;
        scene.until_crashed("mailer").await;
    }
    scene.platform.process("mailer").start_again();
    let load = format!("{mails} in all");
    let outcome = scene.drain("crash after-smtp-250, one at a time", &load, &ledger).await;
    Outcome { times: mails, permitted: mails, ..outcome }
}
