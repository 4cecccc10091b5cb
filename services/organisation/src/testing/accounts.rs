use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use api::identity::v1::{
    service_account_service_server::ServiceAccountService, user_service_server::UserService, *,
};
use kernel::{Clock, Uuid};
use service::{Claims, LIFETIME_SECONDS, Signer};
use tonic::{Request, Response, Status};

/// The identity service, as far as this one asks it.
#[derive(Clone)]
pub(super) struct Accounts {
    pub clock: Clock,
    pub signer: Signer,
    /// By address.
    pub users: Arc<Mutex<HashMap<String, User>>>,
    /// Names by identifier.
    pub services: Arc<Mutex<HashMap<String, String>>>,
}

impl Accounts {
    /// The account of an address, which can sign in from now on.
    pub fn enrolled(&self, email: &str) -> Uuid {
        let mut users = self.users.lock().unwrap();
        let user = users.entry(email.to_owned()).or_insert_with(|| self.new_user(email));
        user.set_status(UserStatus::Active);
        user.id.parse().unwrap()
    }

    /// The account of an address; a new one if there is none.
    fn account(&self, email: &str) -> User {
        let mut users = self.users.lock().unwrap();
        users.entry(email.to_owned()).or_insert_with(|| self.new_user(email)).clone()
    }

    fn new_user(&self, email: &str) -> User {
        User {
            id: self.clock.new_id().to_string(),
            email: email.to_owned(),
            display_name: email.split('@').next().unwrap_or_default().to_owned(),
            status: UserStatus::Invited.into(),
            ..Default::default()
        }
    }
}

#[tonic::async_trait]
impl UserService for Accounts {
    async fn get_user(
        &self,
        request: Request<GetUserRequest>,
    ) -> Result<Response<GetUserResponse>, Status> {
        let GetUserRequest { id } = request.into_inner();
        let users = self.users.lock().unwrap();
        let user = users.values().find(|user| user.id == id).cloned();
        let user = user.ok_or_else(|| Status::not_found("no such user"))?;
        Ok(Response::new(GetUserResponse { user: Some(user) }))
    }

    async fn create_invited_user(
        &self,
        request: Request<CreateInvitedUserRequest>,
    ) -> Result<Response<CreateInvitedUserResponse>, Status> {
        let user = Some(self.account(&request.into_inner().email));
        Ok(Response::new(CreateInvitedUserResponse { user }))
    }

    async fn batch_create_invited_users(
        &self,
        request: Request<BatchCreateInvitedUsersRequest>,
    ) -> Result<Response<BatchCreateInvitedUsersResponse>, Status> {
        let requests = request.into_inner().requests;
        let users = requests.iter().map(|it| self.account(&it.email)).collect();
        Ok(Response::new(BatchCreateInvitedUsersResponse { users }))
    }
}

#[tonic::async_trait]
impl ServiceAccountService for Accounts {
    async fn issue_service_token(
        &self,
        _: Request<IssueServiceTokenRequest>,
    ) -> Result<Response<IssueServiceTokenResponse>, Status> {
        let (id, name) = (self.clock.new_id(), "organisation".to_owned());
        let scopes = "users.read users.invite".to_owned();
        let claims = Claims::service(id, name, scopes, self.clock.new_id());
        let access_token = self.signer.sign(claims, self.clock.now()).unwrap();
        let expires_in = Some(prost_types::Duration { seconds: LIFETIME_SECONDS, nanos: 0 });
        Ok(Response::new(IssueServiceTokenResponse { access_token, expires_in }))
    }

    async fn get_service_account(
        &self,
        request: Request<GetServiceAccountRequest>,
    ) -> Result<Response<GetServiceAccountResponse>, Status> {
        let GetServiceAccountRequest { id } = request.into_inner();
        let name = self.services.lock().unwrap().get(&id).cloned();
        let name = name.ok_or_else(|| Status::not_found("no such service account"))?;
        let account = ServiceAccount { id, name, ..Default::default() };
        Ok(Response::new(GetServiceAccountResponse { service_account: Some(account) }))
    }
}
