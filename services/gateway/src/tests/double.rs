//! A double of the identity and the organisation service: it answers well, writes down what it was
//! asked, and refuses what a test tells it to.

mod organisation_service;

use std::{
    any::Any,
    collections::HashMap,
    sync::{Arc, Mutex},
};

use api::{
    identity::v1::{
        self as identity,
        service_account_service_server::{ServiceAccountService, ServiceAccountServiceServer},
        session_service_server::{SessionService, SessionServiceServer},
        user_service_server::{UserService, UserServiceServer},
    },
    notification::v1::{
        self as notification,
        suppression_service_server::{SuppressionService, SuppressionServiceServer},
    },
    organisation::v1::{
        self as organisation,
        access_request_service_server::AccessRequestServiceServer,
        application_service_server::ApplicationServiceServer,
        audit_service_server::AuditServiceServer,
        invitation_service_server::{InvitationService, InvitationServiceServer},
        membership_service_server::MembershipServiceServer,
        organisation_service_server::OrganisationServiceServer,
        permission_service_server::PermissionServiceServer,
        role_service_server::RoleServiceServer,
    },
};
use axum::Router;
use identity::{SessionTokens, User, UserStatus};
use organisation::{Invitation, InvitationState};
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

use super::gateway;

pub(super) struct Double {
    pub gateway: Router,
    world: World,
}

#[derive(Clone, Default)]
struct World(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    invitation: Invitation,
    organisation: String,
    invitee: UserStatus,
    refusals: HashMap<&'static str, Status>,
    calls: Vec<String>,
    /// The last request of those that a test wants to look at whole.
    asked: Option<Box<dyn Any + Send>>,
    link: Link,
}

/// What a link tells beside its invitation.
#[derive(Clone, Default)]
pub(super) struct Link {
    pub application: &'static str,
    pub redirect_url: &'static str,
    pub inviter: &'static str,
}

impl Double {
    /// A gateway with the double behind it. The link `/invitations/t1` stands for a pending
    /// invitation of somebody who has not enrolled.
    pub async fn start() -> Self {
        let world = World::default();
        {
            let mut state = world.0.lock().unwrap();
            state.organisation = "ABC Holdings".to_owned();
            state.invitee = UserStatus::Invited;
            state.invitation = Invitation {
                id: "i1".to_owned(),
                organisation_id: "o1".to_owned(),
                email: "ada@example.com".to_owned(),
                display_name: "Ada".to_owned(),
                roles: vec!["approver".to_owned(), "user".to_owned()],
                state: InvitationState::Pending.into(),
                etag: "3".to_owned(),
                invitee_id: "u1".to_owned(),
                expires_at: Some(prost_types::Timestamp { seconds: 1_779_984_720, nanos: 0 }),
                ..Invitation::default()
            };
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Server::builder()
            .add_service(UserServiceServer::new(world.clone()))
            .add_service(SessionServiceServer::new(world.clone()))
            .add_service(ServiceAccountServiceServer::new(world.clone()))
            .add_service(InvitationServiceServer::new(world.clone()))
            .add_service(OrganisationServiceServer::new(world.clone()))
            .add_service(MembershipServiceServer::new(world.clone()))
            .add_service(RoleServiceServer::new(world.clone()))
            .add_service(PermissionServiceServer::new(world.clone()))
            .add_service(AccessRequestServiceServer::new(world.clone()))
            .add_service(ApplicationServiceServer::new(world.clone()))
            .add_service(AuditServiceServer::new(world.clone()))
            .add_service(SuppressionServiceServer::new(world.clone()));
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        let gateway = gateway(&[
            ("identity_url", &url),
            ("organisation_url", &url),
            ("notification_url", &url),
        ]);
        Self { gateway, world }
    }

    pub fn refuse(&self, rpc: &'static str, status: Status) {
        self.world.0.lock().unwrap().refusals.insert(rpc, status);
    }

    pub fn invitee_is(&self, status: UserStatus) {
        self.world.0.lock().unwrap().invitee = status;
    }

    pub fn invitation_is(&self, state: InvitationState) {
        self.world.0.lock().unwrap().invitation.state = state.into();
    }

    pub fn names_are(&self, organisation: &str, invitee: &str) {
        let mut state = self.world.0.lock().unwrap();
        state.organisation = organisation.to_owned();
        state.invitation.display_name = invitee.to_owned();
    }

    pub fn link_tells(&self, link: Link) {
        self.world.0.lock().unwrap().link = link;
    }

    pub fn change(&self, change: impl FnOnce(&mut Invitation)) {
        change(&mut self.world.0.lock().unwrap().invitation);
    }

    /// The last request, which must be of this type.
    #[track_caller]
    pub fn asked<T: 'static>(&self) -> T {
        let asked = self.world.0.lock().unwrap().asked.take().expect("nothing was asked");
        *asked.downcast().unwrap_or_else(|_| panic!("something else was asked"))
    }

    /// What was asked so far, in order; then forgotten.
    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.world.0.lock().unwrap().calls)
    }
}

impl World {
    /// Writes a call down, with whose token it came, and refuses it if a test said so.
    fn note<T>(&self, rpc: &'static str, what: &str, request: &Request<T>) -> Result<(), Status> {
        let token = request.metadata().get("authorization");
        let token = token.map(|token| token.to_str().unwrap().trim_start_matches("Bearer "));
        assert!(request.metadata().contains_key("grpc-timeout"), "the deadline travels");
        let mut state = self.0.lock().unwrap();
        let whose = token.map(|token| format!(" as {token}")).unwrap_or_default();
        let what = if what.is_empty() { String::new() } else { format!(" {what}") };
        state.calls.push(format!("{rpc}{what}{whose}"));
        match state.refusals.get(rpc) {
            Some(status) => Err(status.clone()),
            None => Ok(()),
        }
    }

    /// Keeps a request whole, and refuses it if a test said so.
    fn keep<T: Send + 'static>(
        &self,
        rpc: &'static str,
        request: Request<T>,
    ) -> Result<(), Status> {
        self.note(rpc, "", &request)?;
        self.0.lock().unwrap().asked = Some(Box::new(request.into_inner()));
        Ok(())
    }

    fn invitation(&self) -> Option<Invitation> {
        Some(self.0.lock().unwrap().invitation.clone())
    }

    fn user(&self) -> Option<User> {
        let status = self.0.lock().unwrap().invitee.into();
        Some(User { id: "u1".to_owned(), status, ..User::default() })
    }
}

fn tokens() -> Option<SessionTokens> {
    Some(SessionTokens {
        access_token: "invitee".to_owned(),
        expires_in: Some(prost_types::Duration { seconds: 600, nanos: 0 }),
        refresh_token: "r".to_owned(),
    })
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl UserService for World {
    async fn get_user(
        &self,
        request: Request<identity::GetUserRequest>,
    ) -> Answer<identity::GetUserResponse> {
        self.note("GetUser", &request.get_ref().id, &request)?;
        Ok(Response::new(identity::GetUserResponse { user: self.user() }))
    }

    async fn enrol_user(
        &self,
        request: Request<identity::EnrolUserRequest>,
    ) -> Answer<identity::EnrolUserResponse> {
        let identity::EnrolUserRequest { link_token, display_name, .. } = request.get_ref();
        self.note("EnrolUser", &format!("{link_token} {display_name}"), &request)?;
        Ok(Response::new(identity::EnrolUserResponse { user: self.user(), tokens: tokens() }))
    }
}

#[tonic::async_trait]
impl SuppressionService for World {
    async fn unsubscribe(
        &self,
        request: Request<notification::UnsubscribeRequest>,
    ) -> Answer<notification::UnsubscribeResponse> {
        let notification::UnsubscribeRequest { token, validate_only } = request.get_ref();
        let what = if *validate_only { "may" } else { "does" };
        self.note("Unsubscribe", &format!("{token} {what}"), &request)?;
        Ok(Response::new(notification::UnsubscribeResponse {}))
    }
}

#[tonic::async_trait]
impl SessionService for World {
    async fn create_session(
        &self,
        request: Request<identity::CreateSessionRequest>,
    ) -> Answer<identity::CreateSessionResponse> {
        self.note("CreateSession", &request.get_ref().email, &request)?;
        Ok(Response::new(identity::CreateSessionResponse { tokens: tokens(), user: self.user() }))
    }

    async fn revoke_current_session(
        &self,
        request: Request<identity::RevokeCurrentSessionRequest>,
    ) -> Answer<identity::RevokeCurrentSessionResponse> {
        self.note("RevokeCurrentSession", "", &request)?;
        Ok(Response::new(identity::RevokeCurrentSessionResponse {}))
    }
}

#[tonic::async_trait]
impl ServiceAccountService for World {
    async fn issue_service_token(
        &self,
        request: Request<identity::IssueServiceTokenRequest>,
    ) -> Answer<identity::IssueServiceTokenResponse> {
        assert_eq!(request.get_ref().name, "gateway");
        Ok(Response::new(identity::IssueServiceTokenResponse {
            access_token: "own".to_owned(),
            expires_in: Some(prost_types::Duration { seconds: 600, nanos: 0 }),
        }))
    }
}

#[tonic::async_trait]
impl InvitationService for World {
    async fn create_invitation(
        &self,
        request: Request<organisation::CreateInvitationRequest>,
    ) -> Answer<organisation::CreateInvitationResponse> {
        let asked = request.get_ref();
        let (id, email, roles) = (&asked.organisation_id, &asked.email, asked.roles.join(" "));
        self.note("CreateInvitation", &format!("{id} {email} [{roles}]"), &request)?;
        self.0.lock().unwrap().asked = Some(Box::new(request.into_inner()));
        let invitation = self.invitation();
        Ok(Response::new(organisation::CreateInvitationResponse { invitation }))
    }

    async fn get_invitation(
        &self,
        request: Request<organisation::GetInvitationRequest>,
    ) -> Answer<organisation::GetInvitationResponse> {
        self.keep("GetInvitation", request)?;
        let invitation = self.invitation();
        Ok(Response::new(organisation::GetInvitationResponse { invitation }))
    }

    async fn list_invitations(
        &self,
        request: Request<organisation::ListInvitationsRequest>,
    ) -> Answer<organisation::ListInvitationsResponse> {
        self.keep("ListInvitations", request)?;
        let invitations = self.invitation().into_iter().collect();
        let next_page_token = "next".to_owned();
        Ok(Response::new(organisation::ListInvitationsResponse { invitations, next_page_token }))
    }

    async fn reissue_invitation(
        &self,
        request: Request<organisation::ReissueInvitationRequest>,
    ) -> Answer<organisation::ReissueInvitationResponse> {
        self.keep("ReissueInvitation", request)?;
        let invitation = self.invitation();
        Ok(Response::new(organisation::ReissueInvitationResponse { invitation }))
    }

    async fn revoke_invitation(
        &self,
        request: Request<organisation::RevokeInvitationRequest>,
    ) -> Answer<organisation::RevokeInvitationResponse> {
        self.keep("RevokeInvitation", request)?;
        let invitation = self.invitation();
        Ok(Response::new(organisation::RevokeInvitationResponse { invitation }))
    }

    async fn list_own_invitations(
        &self,
        request: Request<organisation::ListOwnInvitationsRequest>,
    ) -> Answer<organisation::ListOwnInvitationsResponse> {
        self.keep("ListOwnInvitations", request)?;
        Ok(Response::new(organisation::ListOwnInvitationsResponse {
            invitations: vec![organisation::OwnInvitation {
                invitation: self.invitation(),
                organisation_display_name: "ABC Holdings".to_owned(),
                ..Default::default()
            }],
            ..Default::default()
        }))
    }

    async fn update_invitation(
        &self,
        request: Request<organisation::UpdateInvitationRequest>,
    ) -> Answer<organisation::UpdateInvitationResponse> {
        self.keep("UpdateInvitation", request)?;
        let invitation = self.invitation();
        Ok(Response::new(organisation::UpdateInvitationResponse { invitation }))
    }

    async fn decline_invitation(
        &self,
        request: Request<organisation::DeclineInvitationRequest>,
    ) -> Answer<organisation::DeclineInvitationResponse> {
        self.note("DeclineInvitation", &request.get_ref().id, &request)?;
        let invitation = self.invitation();
        Ok(Response::new(organisation::DeclineInvitationResponse { invitation }))
    }

    async fn accept_invitation(
        &self,
        request: Request<organisation::AcceptInvitationRequest>,
    ) -> Answer<organisation::AcceptInvitationResponse> {
        self.note("AcceptInvitation", &request.get_ref().id, &request)?;
        let invitation = self.invitation();
        Ok(Response::new(organisation::AcceptInvitationResponse { invitation }))
    }

    async fn inspect_invitation_link(
        &self,
        request: Request<organisation::InspectInvitationLinkRequest>,
    ) -> Answer<organisation::InspectInvitationLinkResponse> {
        self.note("InspectInvitationLink", &request.get_ref().link_token, &request)?;
        let link = self.0.lock().unwrap().link.clone();
        Ok(Response::new(organisation::InspectInvitationLinkResponse {
            invitation: self.invitation(),
            organisation_display_name: self.0.lock().unwrap().organisation.clone(),
            application_display_name: link.application.to_owned(),
            redirect_url: link.redirect_url.to_owned(),
            inviter_display_name: link.inviter.to_owned(),
        }))
    }
}
