//! A stage for tests: the service as production starts it, beside an organisation service that
//! answers what the test wants.

use std::sync::{Arc, Mutex};

use api::{
    notification::v1::{
        ClaimDeliveryRequest, delivery_service_client::DeliveryServiceClient,
        template_service_client::TemplateServiceClient,
    },
    organisation::v1::{
        CheckPermissionRequest, CheckPermissionResponse,
        permission_service_server::{PermissionService, PermissionServiceServer},
    },
};
use kernel::{Clock, Duration, ManualClock, Uuid};
use sea_orm::ConnectionTrait as _;
use service::{Auth, Claims, Infra, Listeners, Peer, RawSettings, Role, Settings};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};
use tonic_types::StatusExt as _;

/// Runs a test on SQLite, and on PostgreSQL when `USHER_TEST_POSTGRES_URL` names a server.
pub(crate) async fn on_both(test: impl AsyncFn(Stage)) {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", directory.path().join("data").display());
    test(Stage::set(directory, &url).await).await;
    if let Ok(server) = std::env::var("USHER_TEST_POSTGRES_URL") {
        let url = create_database(&server).await;
        test(Stage::set(tempfile::tempdir().unwrap(), &url).await).await;
    }
}

async fn create_database(server: &str) -> String {
    let name = format!("notification_{}", Clock::System.new_id().simple());
    let connection = sea_orm::Database::connect(server).await.unwrap();
    connection.execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
    let (base, _) = server.rsplit_once('/').unwrap();
    format!("{base}/{name}")
}

/// The running service.
pub(crate) struct Stage {
    infra: Infra,
    clock: ManualClock,
    /// The only organisation whose deliveries anybody may read; see [`Stage::asked`].
    pub organisation: Uuid,
    asked: Arc<Mutex<Vec<String>>>,
    _directory: TempDir,
    _stop: DropGuard,
}

impl Stage {
    async fn set(directory: TempDir, database_url: &str) -> Self {
        let (own, own_url) = socket().await;
        let (organisations, organisation_url) = socket().await;
        let clock = ManualClock::at("2026-06-01T12:00:00Z".parse().unwrap());
        let mut raw = RawSettings::default();
        raw.set("environment", "development");
        raw.set("database_url", database_url);
        raw.set("bus_url", "memory:");
        raw.set("cache_url", "memory:");
        raw.set("smtp_url", format!("mailbox:{}", directory.path().join("mails").display()));
        raw.set("secret_key", "0123456789abcdef0123456789abcdef");
        raw.set("service_secrets", "notification=0123456789abcdef0123456789abcdef");
        raw.set("notification_url", own_url);
        raw.set("organisation_url", organisation_url);
        let settings = Settings::parse(&raw, Role::AllInOne).unwrap();
        let infra =
            Infra::open(settings, Clock::Manual(clock.clone()), Default::default()).unwrap();

        let organisation = infra.clock.new_id();
        let asked = Arc::default();
        let permissions = Permissions { allowed: organisation, asked: Arc::clone(&asked) };
        let server = Server::builder().add_service(PermissionServiceServer::new(permissions));
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(organisations)));

        assert!(crate::build(&infra).await.is_err(), "migrations are pending");
        assert_eq!(crate::migrate(&infra).await.unwrap(), 2);
        let module = crate::build(&infra).await.unwrap();
        let listeners =
            Listeners { modules: vec![("notification", own)], management: socket().await.0 };
        let stop = CancellationToken::new();
        tokio::spawn(service::run(
            infra.clone(),
            vec![module],
            listeners,
            prometheus::Registry::new(),
            stop.clone(),
        ));
        let _stop = stop.drop_guard();
        Self { infra, clock, organisation, asked, _directory: directory, _stop }
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }

    /// A service account with scopes.
    pub(crate) fn account(&self, scopes: &str) -> Caller<'_> {
        let id = self.infra.clock.new_id();
        self.caller(Claims::service(id, "mailer".to_owned(), scopes.to_owned(), id))
    }

    /// A signed-in person.
    pub(crate) fn person(&self) -> Caller<'_> {
        let id = self.infra.clock.new_id();
        self.caller(Claims::person(id, id, "ada@example.com".to_owned(), "Ada".to_owned(), id))
    }

    fn caller(&self, claims: Claims) -> Caller<'_> {
        let token = self.infra.signer().sign(claims, self.infra.clock.now()).unwrap();
        Caller { infra: &self.infra, token }
    }

    /// The authorisation of every question that the organisation service was asked.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// A claim for the organisation of the stage.
    pub(crate) fn wanted(&self) -> ClaimDeliveryRequest {
        ClaimDeliveryRequest {
            event_id: self.infra.clock.new_id().to_string(),
            organisation_id: self.organisation.to_string(),
            invitation_id: self.infra.clock.new_id().to_string(),
            recipient: "ada@example.com".to_owned(),
            template: "invitation-new-user".to_owned(),
            locale: "en".to_owned(),
        }
    }
}

/// Somebody with a token.
pub(crate) struct Caller<'a> {
    infra: &'a Infra,
    pub token: String,
}

impl Caller<'_> {
    pub(crate) fn deliveries(&self) -> DeliveryServiceClient<Peer> {
        DeliveryServiceClient::new(self.peer())
    }

    pub(crate) fn templates(&self) -> TemplateServiceClient<Peer> {
        TemplateServiceClient::new(self.peer())
    }

    fn peer(&self) -> Peer {
        let auth = Auth::Bearer(self.token.as_str().into());
        self.infra.peers("notification").unwrap().notification(auth)
    }
}

/// The documented reason of a refusal, or its code when it has none.
pub(crate) fn reason<T>(answer: Result<T, Status>) -> String {
    let Err(status) = answer else { return "OK".to_owned() };
    let info = status.get_details_error_info();
    info.map_or_else(|| format!("{:?}", status.code()), |info| info.reason)
}

/// The fields that a refusal names.
pub(crate) fn violations<T>(answer: Result<T, Status>) -> Vec<String> {
    let Err(status) = answer else { return Vec::new() };
    let request = status.get_details_bad_request().unwrap();
    request.field_violations.into_iter().map(|violation| violation.field).collect()
}

async fn socket() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// Allows `deliveries.read` at one organisation, to whoever asks about themselves.
struct Permissions {
    allowed: Uuid,
    asked: Arc<Mutex<Vec<String>>>,
}

#[tonic::async_trait]
impl PermissionService for Permissions {
    async fn check_permission(
        &self,
        request: Request<CheckPermissionRequest>,
    ) -> Result<Response<CheckPermissionResponse>, Status> {
        let auth = request.metadata().get("authorization").map(|auth| auth.to_str().unwrap());
        self.asked.lock().unwrap().push(auth.unwrap_or_default().to_owned());
        let CheckPermissionRequest { subject_id, organisation_id, permission } =
            request.into_inner();
        let allowed = subject_id.is_empty()
            && permission == "deliveries.read"
            && organisation_id == self.allowed.to_string();
        Ok(Response::new(CheckPermissionResponse { allowed }))
    }
}
