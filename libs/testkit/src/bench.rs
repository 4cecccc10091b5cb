use std::{future::Future, net::Ipv4Addr, path::PathBuf};

use kernel::{Clock, ManualClock, Time, Uuid};
use prometheus::Registry;
use service::{Claims, Infra, Listeners, Module, RawSettings, Role, Settings};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::{
    Request, Status,
    metadata::AsciiMetadataValue,
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

use crate::{DeadLetters, servers};

/// A place to test one service: a database of its own, a clock that the test moves, and tokens
/// signed as the identity service would.
pub struct Bench {
    /// The service's infrastructure: what production has, on embedded parts.
    pub infra: Infra,
    /// The clock of everything here.
    pub clock: ManualClock,
    /// What was given up, until a service keeps it.
    pub dead_letters: DeadLetters,
    folder: TempDir,
}

/// A service that runs on a free port until it is dropped.
pub struct Served {
    /// Where it is, as a peer's address is configured.
    pub url: String,
    /// A connection to it.
    pub channel: Channel,
    stop: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
}

/// A connection in somebody's name.
pub type Connection = InterceptedService<Channel, Bearer>;

/// Adds a token to each call.
#[derive(Clone)]
pub struct Bearer(AsciiMetadataValue);

/// The secret of every bench.
const SECRET: &str = "a secret for tests of more than 32 characters";

impl Bench {
    /// On SQLite, in a temporary folder.
    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = format!("sqlite:{}", folder.path().display());
        Self::on(&url, folder)
    }

    /// On a new PostgreSQL database.
    pub async fn postgres() -> Self {
        Self::on(&servers::postgres().await, tempfile::tempdir().expect("a temporary folder"))
    }

    fn on(database_url: &str, folder: TempDir) -> Self {
        let mailbox = folder.path().join("mailbox");
        let mut raw = RawSettings::default();
        for (name, value) in [
            ("environment", "development"),
            ("database_url", database_url),
            ("bus_url", "memory:"),
            ("cache_url", "memory:"),
            ("secret_key", SECRET),
            ("service_secrets", &format!("mailer={SECRET}")),
            ("owner_email", "owner@example.com"),
            ("owner_password", "an owner's long password"),
            // Races invite one address hundreds of times.
            ("mails_per_recipient_day", "1000000"),
        ] {
            raw.set(name, value);
        }
        raw.set("smtp_url", format!("mailbox:{}", mailbox.display()));
        let settings = Settings::parse(&raw, Role::AllInOne).expect("settings");
        let start: Time = "2026-01-01T12:00:00Z".parse().expect("a time");
        let clock = ManualClock::at(start);
        let infra = Infra::open(settings, Clock::Manual(clock.clone()));
        let infra = infra.expect("infrastructure");
        let dead_letters = DeadLetters::keep(&infra.bus);
        Self { infra, clock, dead_letters, folder }
    }

    /// The folder that goes with the bench.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Serves a module's gRPC on a free port.
    pub async fn serve(&self, module: Module) -> Served {
        let free = (Ipv4Addr::LOCALHOST, 0).into();
        let listener = Listeners::bind(free).await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let management = Listeners::bind(free).await.expect("a port");
        let listeners = Listeners { modules: vec![(module.name, listener)], management };
        let stop = CancellationToken::new();
        let running = service::run(
            self.infra.clone(),
            vec![module],
            listeners,
            Registry::new(),
            stop.clone(),
        );
        let url = format!("http://{address}");
        let endpoint = Endpoint::from_shared(url.clone()).expect("an address");
        Served { url, channel: endpoint.connect_lazy(), stop, running: tokio::spawn(running) }
    }

    /// A request in the name of a person.
    pub fn as_person<T>(&self, person: Uuid, message: T) -> Request<T> {
        with_token(&self.person_token(person), message)
    }

    /// A request in the name of a service account with these scopes.
    pub fn as_service<T>(&self, scopes: &str, message: T) -> Request<T> {
        with_token(&self.service_token(scopes), message)
    }

    /// The access token of a person in a session of its own.
    pub fn person_token(&self, person: Uuid) -> String {
        let clock = &self.infra.clock;
        let (session, email) = (clock.new_id(), "ada@example.com".to_owned());
        let claims = Claims::person(person, session, email, "Ada".to_owned(), clock.new_id());
        self.sign(claims)
    }

    /// The access token of a service account with these scopes.
    pub fn service_token(&self, scopes: &str) -> String {
        let clock = &self.infra.clock;
        let name = "a-service".to_owned();
        let claims = Claims::service(clock.new_id(), name, scopes.to_owned(), clock.new_id());
        self.sign(claims)
    }

    /// An access token that says just this.
    pub fn sign(&self, claims: Claims) -> String {
        self.infra.signer().sign(claims, self.infra.clock.now()).expect("a token")
    }
}

impl Served {
    /// Stops it, and waits until nothing of it runs any more.
    pub async fn halt(&mut self) {
        self.stop.cancel();
        let _ = (&mut self.running).await;
    }

    /// A connection whose every call carries a token.
    pub fn connection(&self, token: &str) -> Connection {
        InterceptedService::new(self.channel.clone(), Bearer::new(token))
    }
}

impl Bearer {
    fn new(token: &str) -> Self {
        Self(format!("Bearer {token}").parse().expect("a header"))
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// A request that carries a token.
pub fn with_token<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", Bearer::new(token).0);
    request
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Runs as many copies of a call at once as told, and answers what each answered.
pub async fn race<T, F>(count: usize, mut call: impl FnMut(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let tasks: Vec<_> = (0..count).map(|index| tokio::spawn(call(index))).collect();
    let mut answers = Vec::with_capacity(count);
    for task in tasks {
        answers.push(task.await.expect("a racer"));
    }
    answers
}
