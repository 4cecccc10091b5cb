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
use kernel::{Duration, Uuid};
use service::Module;
use testkit::{Bench, Connection, Served};
use tonic::{Request, Response, Status, service::Routes};
use tonic_types::StatusExt as _;

/// The running service.
pub(crate) struct Stage {
    bench: Bench,
    served: Served,
    /// The only organisation whose deliveries anybody may read; see [`Stage::asked`].
    pub organisation: Uuid,
    asked: Arc<Mutex<Vec<String>>>,
    _organisations: Served,
}

impl Stage {
    pub(crate) async fn set(mut bench: Bench) -> Self {
        let organisation = bench.infra.clock.new_id();
        let asked = Arc::default();
        let permissions = Permissions { allowed: organisation, asked: Arc::clone(&asked) };
        let routes = Routes::new(PermissionServiceServer::new(permissions));
        let organisations = Module { grpc: Some(routes), ..Module::new("organisation") };
        let organisations = bench.serve(organisations).await;
        Arc::make_mut(&mut bench.infra.settings).organisation_url = organisations.url.clone();

        assert!(crate::build(&bench.infra).await.is_err(), "migrations are pending");
        assert_ne!(crate::migrate(&bench.infra).await.unwrap(), 0);
        let served = bench.serve(crate::build(&bench.infra).await.unwrap()).await;
        Self { bench, served, organisation, asked, _organisations: organisations }
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, time: Duration) {
        self.bench.clock.advance(time);
    }

    /// A service account with scopes.
    pub(crate) fn account(&self, scopes: &str) -> Caller {
        self.caller(self.bench.service_token(scopes))
    }

    /// A signed-in person.
    pub(crate) fn person(&self) -> Caller {
        self.caller(self.bench.person_token(self.bench.infra.clock.new_id()))
    }

    fn caller(&self, token: String) -> Caller {
        Caller { connection: self.served.connection(&token), token }
    }

    /// The authorisation of every question that the organisation service was asked.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// A claim for the organisation of the stage.
    pub(crate) fn wanted(&self) -> ClaimDeliveryRequest {
        let clock = &self.bench.infra.clock;
        ClaimDeliveryRequest {
            event_id: clock.new_id().to_string(),
            organisation_id: self.organisation.to_string(),
            invitation_id: clock.new_id().to_string(),
            recipient: "ada@example.com".to_owned(),
            template: "invitation-new-user".to_owned(),
            locale: "en".to_owned(),
            ..Default::default()
        }
    }
}

/// Somebody with a token.
pub(crate) struct Caller {
    connection: Connection,
    pub token: String,
}

impl Caller {
    pub(crate) fn deliveries(&self) -> DeliveryServiceClient<Connection> {
        DeliveryServiceClient::new(self.connection.clone())
    }

    pub(crate) fn templates(&self) -> TemplateServiceClient<Connection> {
        TemplateServiceClient::new(self.connection.clone())
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
