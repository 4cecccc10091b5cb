//! A stage for tests: the service as production starts it, and callers with tokens.

use api::identity::v1::{
    service_account_service_client::ServiceAccountServiceClient,
    session_service_client::SessionServiceClient, user_service_client::UserServiceClient,
};
use db::Database;
use kernel::Uuid;
use testkit::{Bench, Connection, Served};
use tonic::{Status, transport::Channel};
use tonic_types::StatusExt as _;

/// The running service.
pub(crate) struct Stage {
    bench: Bench,
    served: Served,
    /// The service's own tables.
    pub database: Database,
}

impl Stage {
    pub(crate) async fn set(bench: Bench) -> Self {
        crate::migrate(&bench.infra).await.unwrap();
        let (module, _owner) = crate::build(&bench.infra).await.unwrap();
        let database = module.database.clone().unwrap();
        let served = bench.serve(module).await;
        Self { bench, served, database }
    }

    /// What another start of the service does to the tables.
    pub(crate) async fn start_again(&self) {
        crate::build(&self.bench.infra).await.unwrap();
    }

    /// An identifier that nothing has.
    pub(crate) fn new_id(&self) -> Uuid {
        self.bench.infra.clock.new_id()
    }

    /// A service account with scopes.
    pub(crate) fn account(&self, scopes: &str) -> Caller {
        Caller(self.served.connection(&self.bench.service_token(scopes)))
    }

    /// A signed-in person.
    pub(crate) fn person(&self) -> Caller {
        Caller(self.served.connection(&self.bench.person_token(self.new_id())))
    }

    /// Sign-in, which needs no token.
    pub(crate) fn sessions(&self) -> SessionServiceClient<Channel> {
        SessionServiceClient::new(self.served.channel.clone())
    }
}

/// Somebody with a token.
pub(crate) struct Caller(Connection);

impl Caller {
    pub(crate) fn users(&self) -> UserServiceClient<Connection> {
        UserServiceClient::new(self.0.clone())
    }

    pub(crate) fn service_accounts(&self) -> ServiceAccountServiceClient<Connection> {
        ServiceAccountServiceClient::new(self.0.clone())
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
    let violations = status.get_details_bad_request().map(|request| request.field_violations);
    violations.unwrap_or_default().into_iter().map(|violation| violation.field).collect()
}
