//! Peers that answer what the test wants.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
};

use api::{
    identity::v1::{
        IssueServiceTokenRequest, IssueServiceTokenResponse,
        service_account_service_server::{ServiceAccountService, ServiceAccountServiceServer},
    },
    organisation::v1::{
        BatchCheckPermissionsRequest, BatchCheckPermissionsResponse, CheckPermissionRequest,
        CheckPermissionResponse, GetOrganisationPathRequest, GetOrganisationPathResponse,
        organisation_service_server::{OrganisationService, OrganisationServiceServer},
        permission_service_server::{PermissionService, PermissionServiceServer},
    },
};
use kernel::Uuid;
use service::Module;
use tonic::{Request, Response, Status, service::Routes};

/// The identity and the organisation service at once.
#[derive(Clone)]
pub(super) struct Peers(Arc<Mutex<World>>);

#[derive(Default)]
struct World {
    allowed: HashSet<(String, String)>,
    paths: HashMap<String, Vec<String>>,
    asked: Vec<String>,
    /// The token of the service's own account.
    own: String,
}

/// Whoever calls this brings the credential in the request.
const PUBLIC: &[&str] = &["/usher.identity.v1.ServiceAccountService/IssueServiceToken"];

impl Peers {
    pub(super) fn new(own: String) -> Self {
        Self(Arc::new(Mutex::new(World { own, ..Default::default() })))
    }

    pub(super) fn allow(&self, permission: &str, organisation: Uuid) {
        let allowed = (permission.to_owned(), organisation.to_string());
        self.0.lock().unwrap().allowed.insert(allowed);
    }

    pub(super) fn place(&self, path: &[Uuid]) {
        let path: Vec<_> = path.iter().map(Uuid::to_string).collect();
        for (depth, id) in path.iter().enumerate() {
            self.0.lock().unwrap().paths.insert(id.clone(), path[..=depth].to_vec());
        }
    }

    pub(super) fn asked(&self) -> Vec<String> {
        self.0.lock().unwrap().asked.clone()
    }

    pub(super) fn module(&self) -> Module {
        let routes = Routes::new(PermissionServiceServer::new(self.clone()))
            .add_service(OrganisationServiceServer::new(self.clone()))
            .add_service(ServiceAccountServiceServer::new(self.clone()));
        Module { grpc: Some(routes), public: PUBLIC, ..Module::new("organisation") }
    }

    fn allows(&self, check: CheckPermissionRequest) -> bool {
        let CheckPermissionRequest { subject_id, organisation_id, permission } = check;
        let allowed = &self.0.lock().unwrap().allowed;
        subject_id.is_empty() && allowed.contains(&(permission, organisation_id))
    }

    fn note<T>(&self, request: &Request<T>) {
        self.0.lock().unwrap().asked.push(authorisation(request));
    }
}

fn authorisation<T>(request: &Request<T>) -> String {
    let auth = request.metadata().get("authorization").map(|auth| auth.to_str().unwrap());
    auth.unwrap_or_default().to_owned()
}

#[tonic::async_trait]
impl PermissionService for Peers {
    async fn check_permission(
        &self,
        request: Request<CheckPermissionRequest>,
    ) -> Result<Response<CheckPermissionResponse>, Status> {
        self.note(&request);
        let allowed = self.allows(request.into_inner());
        Ok(Response::new(CheckPermissionResponse { allowed }))
    }

    async fn batch_check_permissions(
        &self,
        request: Request<BatchCheckPermissionsRequest>,
    ) -> Result<Response<BatchCheckPermissionsResponse>, Status> {
        self.note(&request);
        let checks = request.into_inner().checks.into_iter();
        let allowed = checks.map(|check| self.allows(check)).collect();
        Ok(Response::new(BatchCheckPermissionsResponse { allowed }))
    }
}

#[tonic::async_trait]
impl OrganisationService for Peers {
    async fn get_organisation_path(
        &self,
        request: Request<GetOrganisationPathRequest>,
    ) -> Result<Response<GetOrganisationPathResponse>, Status> {
        let own = self.0.lock().unwrap().own.clone();
        assert_eq!(authorisation(&request), format!("Bearer {own}"), "in the service's own name");
        let path = self.0.lock().unwrap().paths.get(&request.into_inner().id).cloned();
        let ids = path.ok_or_else(|| Status::not_found("no such organisation"))?;
        Ok(Response::new(GetOrganisationPathResponse { ids }))
    }
}

#[tonic::async_trait]
impl ServiceAccountService for Peers {
    async fn issue_service_token(
        &self,
        request: Request<IssueServiceTokenRequest>,
    ) -> Result<Response<IssueServiceTokenResponse>, Status> {
        assert_eq!(request.into_inner().name, "notification");
        let expires_in = Some(prost_types::Duration { seconds: 600, nanos: 0 });
        let access_token = self.0.lock().unwrap().own.clone();
        Ok(Response::new(IssueServiceTokenResponse { access_token, expires_in }))
    }
}
