use crate::{load::Load, outcome::Outcome, scene::Scene};

/// The services, each a process.
pub const SERVICES: [&str; 5] = ["identity", "organisation", "notification", "mailer", "gateway"];

/// How many mails about invitations a mailer may have on their way to one domain at once.
pub(super) const IN_FLIGHT: usize = 8;

/// Kills a service with SIGKILL at random moments, and starts it again each time.
///
/// Nothing is lost. Only a mailer's death may send a mail twice: one that the mail server has taken
/// and that is not recorded yet.
pub async fn kill_service(service: &'static str, times: usize, per_second: u32) -> Outcome {
    let scene = Scene::set().await;
    let permitted = if service == "mailer" { IN_FLIGHT * times } else { 0 };
    Outcome { permitted, ..kill(scene, service, times, per_second).await }
}

/// Kills a platform that is one process, on embedded parts, in the same way.
///
/// What it had acknowledged is in its outboxes; only what its mailer was sending may come twice.
pub async fn kill_embedded(times: usize, per_second: u32) -> Outcome {
    let permitted = IN_FLIGHT * times;
    let scene = Scene::embedded().await;
    Outcome { permitted, ..kill(scene, "usher", times, per_second).await }
}

async fn kill(mut scene: Scene, service: &'static str, times: usize, per_second: u32) -> Outcome {
    let load = scene.load(per_second);
    scene.until_mailed(1).await;
    for _ in 0..times {
        at_a_random_moment(&load, per_second).await;
        let process = scene.platform.process(service);
        process.kill();
        process.start_again();
        // Each kill hits a service that works.
        scene.platform.wait_until_ready().await;
    }
    let ledger = load.finish().await;
    let load = format!("{per_second}/s");
    let outcome = scene.drain(&format!("kill -9 of {service}"), &load, &ledger).await;
    Outcome { times, ..outcome }
}

/// Waits for a number of further invitations that nobody knows: a tenth of a second to a second.
pub(super) async fn at_a_random_moment(load: &Load, per_second: u32) {
    let more = rand::random_range(per_second.div_ceil(10)..=per_second);
    load.until_attempted(load.ledger().attempted() + more as usize).await;
}
