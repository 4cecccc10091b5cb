//! `usher up`.

use std::{net::SocketAddr, path::Path, time::Instant};

use kernel::Clock;
use secrecy::ExposeSecret as _;
use service::{RawSettings, Telemetry};

use crate::all_in_one::{self, Addresses, Running};

/// Runs everything in this process until it is told to stop.
pub async fn up(
    data_dir: &Path,
    http: SocketAddr,
    grpc_port: u16,
    management: SocketAddr,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut raw = RawSettings::load(None)?;
    // What is printed for people stays readable; USHER_LOG_FILTER=info shows every call.
    raw.set_default("log_filter", "warn");
    let port = |offset: u16| if grpc_port == 0 { 0 } else { grpc_port.saturating_add(offset) };
    let grpc = [0, 1, 2].map(|offset| SocketAddr::from(([127, 0, 0, 1], port(offset))));
    let addresses = Addresses { http, grpc, management };
    let prepared = all_in_one::prepare(data_dir, addresses, raw).await?;
    let telemetry = Telemetry::start(&prepared.settings)?;
    let stop = service::stop_on_signal()?;
    let running = all_in_one::start(prepared, Clock::System, telemetry.registry(), stop).await?;
    introduce(&running);
    running.ready().await?;
    welcome(&running, data_dir, begun);
    let outcome = running.join().await;
    telemetry.stop();
    outcome
}

/// First of all, because a generated password is shown once, whatever happens next.
fn introduce(running: &Running) {
    println!("  Sign in as       {}", running.owner.email);
    match &running.owner.generated_password {
        Some(password) => {
            println!("  Password         {}", password.expose_secret());
            println!("                   (generated now and shown this once)");
        }
        None => println!("  Password         the one given at the first start"),
    }
    println!();
}

fn welcome(running: &Running, data_dir: &Path, begun: Instant) {
    let url = running.url();
    let Addresses { grpc: [identity, organisation, notification], management, .. } =
        running.addresses;
    println!(
        "Usher is ready after {} ms; its data are in {}",
        begun.elapsed().as_millis(),
        data_dir.display()
    );
    println!();
    println!("  Pages and REST   {url}");
    println!("  Mailbox          {url}/mailbox");
    println!(
        "  gRPC             {identity} identity, {organisation} organisation, {notification} notification"
    );
    println!("  Management       http://{management}/readyz and /metrics");
    println!();
    println!("Stop with Ctrl-C.");
}
