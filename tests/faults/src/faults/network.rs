use std::{ops::RangeInclusive, time::Duration};

use crate::{
    outcome::Outcome,
    proxy::{Mode, Proxy},
    scene::Scene,
};

const DATABASE: &str = "USHER_DATABASE_URL";
const BUS: &str = "USHER_BUS_URL";
const CACHE: &str = "USHER_CACHE_URL";
const SMTP: &str = "USHER_SMTP_URL";
const IDENTITY: &str = "USHER_IDENTITY_URL";
const ORGANISATION: &str = "USHER_ORGANISATION_URL";
const NOTIFICATION: &str = "USHER_NOTIFICATION_URL";

/// Each service, and what it reaches over a network.
pub const NETWORKS: [(&str, &[&str]); 5] = [
    ("identity", &[DATABASE, BUS, CACHE, ORGANISATION]),
    ("organisation", &[DATABASE, BUS, CACHE, IDENTITY]),
    ("notification", &[DATABASE, BUS, CACHE, IDENTITY, ORGANISATION]),
    ("mailer", &[BUS, SMTP, IDENTITY, ORGANISATION, NOTIFICATION]),
    ("gateway", &[CACHE, IDENTITY, ORGANISATION, NOTIFICATION]),
];

/// Cuts a service off from all that it reaches, from one after the other, for a random time each: nothing
/// arrives, and nobody is told.
///
/// Nothing is lost. Only what is cut from the mail server may come twice.
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
        proxy.set(Mode::Cut);
        load.goes_on(Duration::from_secs(rand::random_range(seconds.clone()))).await;
        proxy.set(Mode::Pass);
        load.goes_on(Duration::from_secs(2)).await;
        if *variable == SMTP {
            permitted += super::kills::IN_FLIGHT;
        }
    }
    let ledger = load.finish().await;
    scene.platform.wait_until_ready().await;
    let fault = format!("network of {service} cut");
    let outcome = scene.drain(&fault, &format!("{per_second}/s"), &ledger).await;
    Outcome { times: variables.len(), permitted, ..outcome }
}
