//! Every service in one process, on embedded parts: what `up`, `demo` and tests start.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use identity::Owner;
use kernel::Clock;
use prometheus::Registry;
use service::{Infra, Listeners, RawSettings, Role, Settings};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// The sockets of an all-in-one. Port 0 takes a free port.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// Pages and REST.
    pub http: SocketAddr,
    /// gRPC: identity, organisation, notification.
    pub grpc: [SocketAddr; 3],
    /// `/livez`, `/readyz`, `/metrics`.
    pub management: SocketAddr,
}

impl Addresses {
    /// Free ports on the loopback.
    pub fn free() -> Self {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self { http: free, grpc: [free; 3], management: free }
    }
}

/// Sockets that are open, and settings that name them.
pub struct Prepared {
    /// Parsed.
    pub settings: Settings,
    addresses: Addresses,
    sockets: [TcpListener; 5],
}

/// An all-in-one that has been started.
pub struct Running {
    /// Where it listens.
    pub addresses: Addresses,
    /// The platform owner.
    pub owner: Owner,
    stop: CancellationToken,
    done: JoinHandle<anyhow::Result<()>>,
}

const SERVICES: [&str; 3] = ["identity", "organisation", "notification"];

/// Opens the sockets and completes the settings: the folder's own database, secret and mailbox,
/// unless the environment names others.
pub async fn prepare(
    data_dir: &Path,
    mut addresses: Addresses,
    mut raw: RawSettings,
) -> anyhow::Result<Prepared> {
    create_private(data_dir).with_context(|| data_dir.display().to_string())?;
    let [identity, organisation, notification] = addresses.grpc;
    let wanted = [addresses.http, identity, organisation, notification, addresses.management];
    let mut sockets = Vec::with_capacity(wanted.len());
    for address in wanted {
        sockets.push(Listeners::bind(address).await?);
    }
    let sockets: [TcpListener; 5] =
        sockets.try_into().map_err(|_| anyhow::anyhow!("five sockets were opened"))?;
    addresses.http = sockets[0].local_addr()?;
    for (address, socket) in addresses.grpc.iter_mut().zip(&sockets[1..4]) {
        *address = socket.local_addr()?;
    }
    addresses.management = sockets[4].local_addr()?;

    for (service, address) in SERVICES.iter().zip(addresses.grpc) {
        raw.set(&format!("{service}_url"), format!("http://{}", reachable(address)));
    }
    raw.set_default("public_url", format!("http://{}", reachable(addresses.http)));
    raw.set_default("environment", "development");
    raw.set_default("database_url", format!("sqlite:{}", data_dir.display()));
    raw.set_default("bus_url", "memory:");
    raw.set_default("cache_url", "memory:");
    raw.set_default("smtp_url", format!("mailbox:{}", data_dir.join("mailbox").display()));
    raw.set_default("secret_key", secret_of(data_dir)?);
    let mut accounts = Vec::new();
    for account in ["organisation", "notification", "mailer", "gateway"] {
        accounts.push(format!("{account}={}", random_secret()?));
    }
    raw.set_default("service_secrets", accounts.join(","));
    let settings = Settings::parse(&raw, Role::AllInOne)?;
    Ok(Prepared { settings, addresses, sockets })
}

/// Migrates, builds and runs every service; [`Running::ready`] tells when all are ready.
pub async fn start(
    prepared: Prepared,
    clock: Clock,
    registry: Registry,
    stop: CancellationToken,
) -> anyhow::Result<Running> {
    let Prepared { settings, addresses, sockets } = prepared;
    let infra = Infra::open(settings, clock)?;
    identity::migrate(&infra).await?;
    organisation::migrate(&infra).await?;
    notification::migrate(&infra).await?;
    let (identity, owner) = identity::build(&infra).await?;
    let modules = vec![
        identity,
        organisation::build(&infra).await?,
        notification::build(&infra).await?,
        mailer::build(&infra)?,
        gateway::build(&infra)?,
    ];
    let [http, identity, organisation, notification, management] = sockets;
    let listeners = Listeners {
        modules: vec![
            ("gateway", http),
            ("identity", identity),
            ("organisation", organisation),
            ("notification", notification),
        ],
        management,
    };
    let done = tokio::spawn(service::run(infra, modules, listeners, registry, stop.clone()));
    Ok(Running { addresses, owner, stop, done })
}

impl Running {
    /// Waits until every service is ready.
    pub async fn ready(&self) -> anyhow::Result<()> {
        let url = format!("http://{}/readyz", reachable(self.addresses.management));
        let begun = Instant::now();
        let mut last = String::new();
        while begun.elapsed() < Duration::from_secs(30) && !self.done.is_finished() {
            match reqwest::get(&url).await {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) => last = answer.text().await.unwrap_or_default(),
                Err(error) => last = error.to_string(),
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        anyhow::bail!("not ready after {:?}: {last}", begun.elapsed())
    }

    /// Where people go.
    pub fn url(&self) -> String {
        format!("http://{}", reachable(self.addresses.http))
    }

    /// Waits until it was told to stop and has.
    pub async fn join(self) -> anyhow::Result<()> {
        self.done.await?
    }

    /// Stops it as SIGTERM would.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.join().await
    }
}

/// An address that one can connect to, for one that listens everywhere.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    address
}

/// The folder holds mails with live links: it is its owner's alone.
fn create_private(data_dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir)
}

/// The folder's secret, made at the first start and readable by its owner alone.
fn secret_of(data_dir: &Path) -> anyhow::Result<String> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let file = data_dir.join("secret.key");
    if file.exists() {
        return Ok(std::fs::read_to_string(&file)?.trim().to_owned());
    }
    let secret = random_secret()?;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&file)?;
    file.write_all(secret.as_bytes())?;
    file.sync_all()?;
    Ok(secret)
}

fn random_secret() -> anyhow::Result<String> {
    kernel::random_secret().context("the machine has no random bytes")
}
