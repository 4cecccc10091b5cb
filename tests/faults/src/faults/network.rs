use std::{ops::RangeInclusive, time::Duration};

use testkit::eventually;

use super::kills::IN_FLIGHT;
use crate::{
    load::{Inviter, Load},
    outcome::Outcome,
    proxy::{Mode, Proxy},
    scene::Scene,
    visitor::Visitor,
};

const DATABASE: &str = "USHER_DATABASE_URL";
const BUS: &str = "USHER_BUS_URL";
const CACHE: &str = "USHER_CACHE_URL";
const SMTP: &str = "USHER_SMTP_URL";
const IDENTITY: &str = "USHER_IDENTITY_URL";
const ORGANISATION: &str = "USHER_ORGANISATION_URL";
const NOTIFICATION: &str = "USHER_NOTIFICATION_URL";

/// Each service, and what it reaches over a network. The mailer has two rows: only what is cut from the
/// mail server may come twice.
pub const NETWORKS: [(&str, &[&str]); 6] = [
    ("identity", &[DATABASE, BUS, CACHE, ORGANISATION]),
    ("organisation", &[DATABASE, BUS, CACHE, IDENTITY]),
    ("notification", &[DATABASE, BUS, CACHE, IDENTITY, ORGANISATION]),
    ("mailer", &[BUS, IDENTITY, ORGANISATION, NOTIFICATION]),
    ("mailer", &[SMTP]),
    ("gateway", &[IDENTITY, ORGANISATION, NOTIFICATION]),
];

/// Where nothing is said once both have begun: the identity service has no news but that there is an
/// owner, and a token of the notification service's own lasts for minutes.
const SILENT: [(&str, &str); 2] = [("identity", BUS), ("notification", IDENTITY)];

/// Cuts a service off from all that it reaches, from one after the other, for a random time each: nothing
/// arrives, and nobody is told. Beside those who invite, people sign in, enrol and look at what is there.
///
/// Nothing is lost. Only what is cut from the mail server may come twice. When the network is back,
/// everybody gets on.
pub async fn cut_off(
    (service, variables): (&'static str, &[&'static str]),
    seconds: RangeInclusive<u64>,
    per_second: u32,
) -> Outcome {
    let mut scene = Scene::set().await;
    let mut networks: Vec<(&str, Proxy, String)> = Vec::new();
    for variable in variables {
        let (proxy, url) = scene.network(service, variable).await;
        networks.push((variable, proxy, url));
    }
    let urls: Vec<_> = networks.iter().map(|(name, _, url)| (*name, url.as_str())).collect();
    scene.restart(service, &urls).await;
    let load = scene.load(per_second);
    scene.until_mailed(1).await;
    let mut permitted = 0;
    for (variable, proxy, _) in &networks {
        let is_silent = SILENT.contains(&(service, *variable));
        cut(&scene, &load, proxy, is_silent, seconds.clone()).await;
        if *variable == SMTP {
            permitted += IN_FLIGHT;
        }
    }
    let ledger = load.finish().await;
    scene.platform.wait_until_ready().await;
    let names: Vec<_> = variables.iter().map(|name| name_of(name)).collect();
    let fault = format!("{service} cut off from {}", names.join(", "));
    let outcome = scene.drain(&fault, &format!("{per_second}/s"), &ledger).await;
    Outcome { times: variables.len(), permitted, ..outcome }
}

/// Cuts those who invite off from the gateway in the same way.
pub async fn cut_off_clients(seconds: RangeInclusive<u64>, per_second: u32) -> Outcome {
    let mut scene = Scene::set().await;
    let (proxy, url) = Proxy::before(&scene.platform.http).await;
    scene.inviter = Inviter::new(&url, &scene.organisation).await;
    let load = scene.load(per_second);
    scene.until_mailed(1).await;
    cut(&scene, &load, &proxy, false, seconds).await;
    let ledger = load.finish().await;
    scene.drain("clients cut off from the gateway", &format!("{per_second}/s"), &ledger).await
}

async fn cut(
    scene: &Scene,
    load: &Load,
    proxy: &Proxy,
    is_silent: bool,
    seconds: RangeInclusive<u64>,
) {
    proxy.set(Mode::Cut);
    let visitor = Visitor::start(scene);
    load.goes_on(Duration::from_secs(rand::random_range(seconds))).await;
    if !is_silent {
        eventually("something was said", async || (proxy.held() > 0).then_some(())).await;
    }
    proxy.set(Mode::Pass);
    visitor.finish(scene).await;
}

/// `USHER_DATABASE_URL` is the database.
fn name_of(variable: &str) -> String {
    variable.trim_start_matches("USHER_").trim_end_matches("_URL").to_lowercase()
}
