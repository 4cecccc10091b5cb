use std::{
    net::TcpListener,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use api::{
    identity::v1::service_account_service_client::ServiceAccountServiceClient,
    operations::v1::{
        GetOutboxStatusRequest, GetOutboxStatusResponse, outbox_service_client::OutboxServiceClient,
    },
    organisation::v1::{
        CheckPermissionRequest, permission_service_client::PermissionServiceClient,
    },
};
use kernel::{Clock, ManualClock, Time};
use prometheus::Registry;
use service::RawSettings;
use tempfile::TempDir;
use testkit::{
    Mail, SmtpSink, eventually,
    servers::{self, Servers},
    with_token,
};
use tokio_util::sync::CancellationToken;
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};
use usher::all_in_one::{self, Addresses, Running};

use crate::{Client, Process};

/// The password of everybody in the stories.
pub const PASSWORD: &str = "a difference engine in brass";
/// The address of the platform owner.
pub const OWNER: &str = "owner@example.com";
const SECRET: &str = "one secret of the tests and long enough";

/// A platform that runs until it is dropped.
pub struct Platform {
    /// The gateway.
    pub http: String,
    /// The mail server, where there is one; embedded platforms have a mailbox.
    pub sink: Option<SmtpSink>,
    /// The clock, where the story can move it.
    pub clock: Option<ManualClock>,
    /// The processes of a platform on real servers, by service.
    pub processes: Vec<(&'static str, Process)>,
    /// The management addresses of those processes.
    pub management: Vec<(&'static str, String)>,
    /// The broker of those processes; empty where there is none.
    pub bus: String,
    grpc: [String; 3],
    stop: CancellationToken,
    folder: TempDir,
    _running: Option<Running>,
}

impl Platform {
    /// Everything in this process on SQLite, with a clock that runs and that the story moves.
    pub async fn on_sqlite() -> Self {
        Self::embedded(RawSettings::default(), Some(from_noon())).await
    }

    /// Everything in this process on PostgreSQL, with a clock that runs and that the story moves.
    pub async fn on_postgres() -> Self {
        let mut raw = RawSettings::default();
        raw.set("database_url", servers::postgres().await);
        Self::embedded(raw, Some(from_noon())).await
    }

    /// Everything in this process, with these settings over the usual ones; without a clock by the
    /// machine's.
    pub async fn embedded(mut raw: RawSettings, clock: Option<ManualClock>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        raw.set_default("owner_email", OWNER);
        raw.set_default("owner_password", PASSWORD);
        let prepared = all_in_one::prepare(folder.path(), Addresses::free(), raw).await;
        let stop = CancellationToken::new();
        let running = all_in_one::start(
            prepared.expect("settings and sockets"),
            clock.clone().map_or(Clock::System, Clock::Manual),
            Registry::new(),
            stop.clone(),
        );
        let running = running.await.expect("the platform starts");
        running.ready().await.expect("the platform is ready");
        Self {
            http: running.url(),
            sink: None,
            clock,
            processes: Vec::new(),
            management: Vec::new(),
            bus: String::new(),
            grpc: running.addresses.grpc.map(|address| format!("http://{address}")),
            stop,
            folder,
            _running: Some(running),
        }
    }

    /// Every service a process of its own, on PostgreSQL, RabbitMQ, Redis and a mail server.
    pub async fn on_real_servers() -> Self {
        Self::on_real_servers_with(&[]).await
    }

    /// The same, with these settings over the usual ones.
    pub async fn on_real_servers_with(settings: &[(&str, &str)]) -> Self {
        Self::on(&Servers::of_this_run(), settings).await
    }

    /// Everything in one process of its own, `usher up`, with these settings; mail goes to a mail server.
    pub async fn up(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let sink = SmtpSink::start().await;
        let smtp = format!("smtp://{}", sink.address());
        let [http, management] = [(); 2].map(|()| free_address());
        let ports: [_; 3] = free_ports();
        let first = ports[0].to_string();
        let arguments = ["up", "--data-dir", "data", "--http", &http, "--grpc-port", &first];
        let arguments = [&arguments[..], &["--management", &management]].concat();
        let mut environment = vec![
            ("USHER_SMTP_URL", smtp.as_str()),
            ("USHER_OWNER_EMAIL", OWNER),
            ("USHER_OWNER_PASSWORD", PASSWORD),
        ];
        environment.extend(settings);
        let process = Process::start(folder.path(), "usher", &arguments, &environment);
        let mut this = Self {
            http: format!("http://{http}"),
            sink: Some(sink),
            clock: None,
            processes: vec![("usher", process)],
            management: vec![("usher", format!("http://{management}"))],
            bus: String::new(),
            grpc: ports.map(|port| format!("http://127.0.0.1:{port}")),
            stop: CancellationToken::new(),
            folder,
            _running: None,
        };
        this.wait_until_ready().await;
        this
    }

    /// The same, on these servers.
    pub async fn on(servers: &Servers, settings: &[(&str, &str)]) -> Self {
        let sink = SmtpSink::start().await;
        let smtp = format!("smtp://{}", sink.address());
        let mut this = Self::with_mail_server_and(&smtp, servers, settings).await;
        this.sink = Some(sink);
        this
    }

    /// The same, with a mail server at a given URL.
    pub async fn with_mail_server(smtp_url: &str) -> Self {
        Self::with_mail_server_and(smtp_url, &Servers::of_this_run(), &[]).await
    }

    async fn with_mail_server_and(
        smtp_url: &str,
        servers: &Servers,
        settings: &[(&str, &str)],
    ) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let [http, identity, organisation, notification] = [(); 4].map(|()| free_address());
        let database = servers.postgres().await;
        let (bus, cache) = (servers.rabbitmq().await, servers.redis());
        let grpc = [&identity, &organisation, &notification].map(|at| format!("http://{at}"));
        let accounts = ["organisation", "notification", "mailer", "gateway"];
        let accounts = accounts.map(|name| format!("{name}={SECRET} {name}")).join(",");
        let public_url = format!("http://{http}");
        let common = [
            ("USHER_DATABASE_URL", database.as_str()),
            ("USHER_BUS_URL", &bus),
            ("USHER_CACHE_URL", &cache),
            ("USHER_SMTP_URL", smtp_url),
            ("USHER_PUBLIC_URL", &public_url),
            ("USHER_IDENTITY_URL", &grpc[0]),
            ("USHER_ORGANISATION_URL", &grpc[1]),
            ("USHER_NOTIFICATION_URL", &grpc[2]),
            ("USHER_SECRET_KEY", SECRET),
            ("USHER_SERVICE_SECRETS", &accounts),
            ("USHER_OWNER_EMAIL", OWNER),
            ("USHER_OWNER_PASSWORD", PASSWORD),
            ("USHER_LOG_FORMAT", "json"),
            ("USHER_DATABASE_POOL", "8"),
        ];
        let mut migration = Process::start(folder.path(), "migrate", &["migrate"], &common);
        let migrated = migration.exit().await;
        assert!(migrated.success(), "{}", migration.stderr());

        let mut this = Self {
            http: public_url.clone(),
            sink: None,
            clock: None,
            processes: Vec::new(),
            management: Vec::new(),
            bus: bus.clone(),
            grpc: grpc.clone(),
            stop: CancellationToken::new(),
            folder,
            _running: None,
        };
        for (service, listen) in [
            ("identity", &identity),
            ("organisation", &organisation),
            ("notification", &notification),
            ("mailer", &identity),
            ("gateway", &http),
        ] {
            let (management, secret) = (free_address(), format!("{SECRET} {service}"));
            let mut environment = common.to_vec();
            environment.extend(settings);
            environment.extend([
                ("USHER_LISTEN", listen.as_str()),
                ("USHER_MANAGEMENT_LISTEN", &management),
                ("USHER_SERVICE_SECRET", &secret),
            ]);
            let folder = this.folder.path();
            let process = Process::start(folder, service, &["serve", service], &environment);
            this.processes.push((service, process));
            this.management.push((service, format!("http://{management}")));
        }
        this.wait_until_ready().await;
        this
    }

    /// Waits until every service is ready.
    pub async fn wait_until_ready(&mut self) {
        for (service, management) in self.management.clone() {
            let process = std::sync::Mutex::new(self.process(service));
            eventually(&format!("{service} is ready"), async || {
                process.lock().expect("the process").expect_running();
                let answer = reqwest::get(format!("{management}/readyz")).await.ok()?;
                answer.status().is_success().then_some(())
            })
            .await;
        }
    }

    /// The management address of a service's process.
    pub fn management_of(&self, service: &str) -> &str {
        let found = self.management.iter().find(|(name, _)| *name == service);
        &found.expect("a service of this platform").1
    }

    /// Starts a second process of a service, which nobody calls, and waits until it is ready. It has the
    /// variables of the first one's first start, and these over them.
    pub async fn start_another(
        &mut self,
        service: &'static str,
        variables: &[(&str, &str)],
    ) -> Process {
        let (listen, management) = (free_address(), free_address());
        let elsewhere =
            [("USHER_LISTEN", listen.as_str()), ("USHER_MANAGEMENT_LISTEN", management.as_str())];
        let variables = [&elsewhere, variables].concat();
        let folder = self.folder();
        let process = self.process(service).another(&folder, &format!("{service}-2"), &variables);
        eventually("the second process is ready", async || {
            let answer = reqwest::get(format!("http://{management}/readyz")).await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        process
    }

    /// A process by its service.
    pub fn process(&mut self, service: &str) -> &mut Process {
        let found = self.processes.iter_mut().find(|(name, _)| *name == service);
        &mut found.expect("a service of this platform").1
    }

    /// The folder that holds the platform's data and logs.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Somebody who has not signed in.
    pub fn anonymous(&self) -> Client {
        Client::anonymous(&self.http)
    }

    /// The platform owner, signed in.
    pub async fn owner(&self) -> Client {
        self.anonymous().sign_in(OWNER, PASSWORD).await
    }

    /// Invites somebody new, who enrols; their client.
    pub async fn member(
        &self,
        inviter: &Client,
        organisation: &str,
        email: &str,
        role: &str,
    ) -> Client {
        inviter.invite(organisation, email, role).await;
        let link = self.link_mailed_to(email).await;
        let (status, page) = self.anonymous().enrol(&link, "Ada Lovelace", PASSWORD).await;
        assert_eq!(status, 200, "{page}");
        self.anonymous().sign_in(email, PASSWORD).await
    }

    /// The texts of all mails to an address, oldest first.
    pub async fn texts_mailed_to(&self, email: &str) -> Vec<String> {
        if let Some(sink) = &self.sink {
            return sink.mails_to(email).iter().map(Mail::text).collect();
        }
        let mails = self.anonymous().get(&format!("/api/mailbox?to={email}")).await.expect(200);
        let mails = mails.as_array().expect("a list of mails").iter().rev();
        mails.map(|mail| mail["text"].as_str().expect("a text").to_owned()).collect()
    }

    /// Waits for a mail to an address, and takes the link of the newest.
    pub async fn link_mailed_to(&self, email: &str) -> String {
        self.nth_link_mailed_to(email, 1).await
    }

    /// Waits until so many mails to an address have arrived.
    pub async fn nth_mail_to(&self, email: &str, count: usize) -> String {
        eventually(&format!("mail {count} to {email}"), async || {
            self.texts_mailed_to(email).await.get(count - 1).cloned()
        })
        .await
    }

    /// Waits until so many mails to an address have arrived, and takes the link of the newest.
    pub async fn nth_link_mailed_to(&self, email: &str, count: usize) -> String {
        let text = self.nth_mail_to(email, count).await;
        let mut words = text.split_whitespace();
        words.find(|word| word.contains("/invitations/")).expect("a link in the mail").to_owned()
    }

    /// Where the identity and the organisation service are.
    pub fn places(&self) -> [String; 2] {
        [self.grpc[0].clone(), self.grpc[1].clone()]
    }

    /// Where the notification service is.
    pub fn notification_url(&self) -> &str {
        &self.grpc[2]
    }

    /// What the process of a service has logged so far.
    pub fn logs_of(&self, service: &str) -> String {
        let found = self.processes.iter().find(|(name, _)| *name == service);
        found.expect("a service of this platform").1.stderr()
    }

    /// A connection to the identity service.
    pub fn identity(&self) -> Channel {
        connect(&self.grpc[0])
    }

    /// A connection to the organisation service.
    pub fn organisation(&self) -> Channel {
        connect(&self.grpc[1])
    }

    /// A connection to the notification service.
    pub fn notification(&self) -> Channel {
        connect(&self.grpc[2])
    }

    /// Whether the client's person may do something at an organisation, asked over gRPC.
    pub async fn allows(&self, client: &Client, organisation: &str, permission: &str) -> bool {
        let request = CheckPermissionRequest {
            subject_id: String::new(),
            organisation_id: organisation.to_owned(),
            permission: permission.to_owned(),
        };
        let mut permissions = PermissionServiceClient::new(self.organisation());
        let answer = permissions.check_permission(with_token(client.token(), request)).await;
        answer.expect("an answer").into_inner().allowed
    }

    /// How the outbox of the identity, the organisation or the notification service is, as an operator is
    /// told over gRPC.
    pub async fn outbox(
        &self,
        operator: &Client,
        service: &str,
    ) -> Result<GetOutboxStatusResponse, Status> {
        let place =
            ["identity", "organisation", "notification"].iter().position(|it| *it == service);
        let channel = connect(&self.grpc[place.expect("a service that has one")]);
        let request = with_token(operator.token(), GetOutboxStatusRequest {});
        let answer = OutboxServiceClient::new(channel).get_outbox_status(request).await?;
        Ok(answer.into_inner())
    }

    /// A service account's token, made by the platform owner.
    pub async fn service_token(&self, name: &str, scopes: &[&str]) -> String {
        self.service_account(name, scopes).await.1
    }

    /// A service account, made by the platform owner: its identifier and a token.
    pub async fn service_account(&self, name: &str, scopes: &[&str]) -> (String, String) {
        use api::identity::v1::{
            CreateServiceAccountRequest, CreateServiceAccountResponse, IssueServiceTokenRequest,
        };
        let owner = self.owner().await;
        let mut accounts = ServiceAccountServiceClient::new(self.identity());
        let request = CreateServiceAccountRequest {
            name: name.to_owned(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        };
        let created = accounts.create_service_account(with_token(owner.token(), request)).await;
        let CreateServiceAccountResponse { service_account, secret } =
            created.expect("a service account").into_inner();
        let request = IssueServiceTokenRequest { name: name.to_owned(), secret };
        let token = accounts.issue_service_token(request).await.expect("a token").into_inner();
        (service_account.expect("an account").id, token.access_token)
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn connect(url: &str) -> Channel {
    Endpoint::from_shared(url.to_owned()).expect("a URL").connect_lazy()
}

const NOON: &str = "2026-01-01T12:00:00Z";

/// A clock that stands at noon. What is put off there waits until the story moves the clock.
pub fn noon() -> ManualClock {
    ManualClock::at(NOON.parse::<Time>().expect("a time"))
}

/// A clock that runs from noon on.
pub fn from_noon() -> ManualClock {
    ManualClock::running_from(NOON.parse::<Time>().expect("a time"))
}

/// An address that was free a moment ago; the process that is told it binds it. It is below the
/// ports that the machine gives to outgoing connections, which could take it in between.
pub fn free_address() -> String {
    let [port] = free_ports();
    format!("127.0.0.1:{port}")
}

/// Ports in a row that were free a moment ago, and that this process tells nobody else.
fn free_ports<const N: usize>() -> [u16; N] {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let count = u32::try_from(N).expect("a few");
    loop {
        let number =
            std::process::id().wrapping_mul(101) + NEXT.fetch_add(count, Ordering::Relaxed);
        let first = u16::try_from(10_000 + number % 14_990).expect("a port");
        let ports = std::array::from_fn(|index| first + index as u16);
        if ports.iter().all(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()) {
            return ports;
        }
    }
}
