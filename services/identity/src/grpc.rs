use api::identity::v1::{
    key_service_server::{KeyService, KeyServiceServer},
    service_account_service_server::{ServiceAccountService, ServiceAccountServiceServer},
    session_service_server::{SessionService, SessionServiceServer},
    user_service_server::{UserService, UserServiceServer},
    *,
};
use service::Caller;
use tonic::{Request, Response, Status, service::Routes};

use crate::{Identity, keys, service_accounts, sessions, users};

pub(crate) fn routes(identity: Identity, limit: usize) -> Routes {
    Routes::new(UserServiceServer::new(identity.clone()).max_decoding_message_size(limit))
        .add_service(SessionServiceServer::new(identity.clone()).max_decoding_message_size(limit))
        .add_service(
            ServiceAccountServiceServer::new(identity.clone()).max_decoding_message_size(limit),
        )
        .add_service(KeyServiceServer::new(identity).max_decoding_message_size(limit))
}

#[tonic::async_trait]
impl UserService for Identity {
    async fn get_current_user(
        &self,
        request: Request<GetCurrentUserRequest>,
    ) -> Result<Response<GetCurrentUserResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(users::get_current::get_current(self, &caller).await?))
    }

    async fn get_user(
        &self,
        request: Request<GetUserRequest>,
    ) -> Result<Response<GetUserResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(users::get::get(self, &caller, request.into_inner()).await?))
    }

    async fn create_invited_user(
        &self,
        request: Request<CreateInvitedUserRequest>,
    ) -> Result<Response<CreateInvitedUserResponse>, Status> {
        let caller = Caller::of(&request)?;
        let answer = users::create_invited::create_invited(self, &caller, request.into_inner());
        Ok(Response::new(answer.await?))
    }

    async fn batch_create_invited_users(
        &self,
        request: Request<BatchCreateInvitedUsersRequest>,
    ) -> Result<Response<BatchCreateInvitedUsersResponse>, Status> {
        let caller = Caller::of(&request)?;
        let answer = users::create_invited::create_many(self, &caller, request.into_inner());
        Ok(Response::new(answer.await?))
    }

    async fn enrol_user(
        &self,
        request: Request<EnrolUserRequest>,
    ) -> Result<Response<EnrolUserResponse>, Status> {
        Ok(Response::new(users::enrol::enrol(self, request.into_inner()).await?))
    }
}

#[tonic::async_trait]
impl SessionService for Identity {
    async fn create_session(
        &self,
        request: Request<CreateSessionRequest>,
    ) -> Result<Response<CreateSessionResponse>, Status> {
        Ok(Response::new(sessions::create::create(self, request.into_inner()).await?))
    }

    async fn refresh_session(
        &self,
        request: Request<RefreshSessionRequest>,
    ) -> Result<Response<RefreshSessionResponse>, Status> {
        Ok(Response::new(sessions::refresh::refresh(self, request.into_inner()).await?))
    }

    async fn revoke_current_session(
        &self,
        request: Request<RevokeCurrentSessionRequest>,
    ) -> Result<Response<RevokeCurrentSessionResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(sessions::revoke_current::revoke_current(self, &caller).await?))
    }
}

#[tonic::async_trait]
impl ServiceAccountService for Identity {
    async fn create_service_account(
        &self,
        request: Request<CreateServiceAccountRequest>,
    ) -> Result<Response<CreateServiceAccountResponse>, Status> {
        let caller = Caller::of(&request)?;
        let answer = service_accounts::create::create(self, &caller, request.into_inner());
        Ok(Response::new(answer.await?))
    }

    async fn get_service_account(
        &self,
        request: Request<GetServiceAccountRequest>,
    ) -> Result<Response<GetServiceAccountResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(service_accounts::get::get(self, &caller, request.into_inner()).await?))
    }

    async fn issue_service_token(
        &self,
        request: Request<IssueServiceTokenRequest>,
    ) -> Result<Response<IssueServiceTokenResponse>, Status> {
        let answer = service_accounts::issue_token::issue_token(self, request.into_inner());
        Ok(Response::new(answer.await?))
    }
}

#[tonic::async_trait]
impl KeyService for Identity {
    async fn get_key_set(
        &self,
        _: Request<GetKeySetRequest>,
    ) -> Result<Response<GetKeySetResponse>, Status> {
        Ok(Response::new(keys::get_set::get_set(self)))
    }
}
