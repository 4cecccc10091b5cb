//! The RPCs, each delegating to a use case: a file a service, a few lines an RPC.

mod access_requests;
mod applications;
mod audit;
mod invitations;
mod memberships;
mod organisations;
mod permissions;
mod roles;

use std::{future::Future, time::Duration};

use api::organisation::v1::{
    access_request_service_server::AccessRequestServiceServer,
    application_service_server::ApplicationServiceServer, audit_service_server::AuditServiceServer,
    invitation_service_server::InvitationServiceServer,
    membership_service_server::MembershipServiceServer,
    organisation_service_server::OrganisationServiceServer,
    permission_service_server::PermissionServiceServer, role_service_server::RoleServiceServer,
};
use prost::Message;
use tonic::{Response, Status, service::Routes};

use crate::{Organisations, call::Call, change::record_refusal, error::Error};

type Answer<T> = Result<Response<T>, Status>;

pub(crate) fn routes(service: Organisations, limit: usize) -> Routes {
    let organisations = OrganisationServiceServer::new(service.clone());
    let memberships = MembershipServiceServer::new(service.clone());
    let invitations = InvitationServiceServer::new(service.clone());
    let access_requests = AccessRequestServiceServer::new(service.clone());
    let applications = ApplicationServiceServer::new(service.clone());
    let permissions = PermissionServiceServer::new(service.clone());
    let roles = RoleServiceServer::new(service.clone());
    let audit = AuditServiceServer::new(service);
    Routes::new(organisations.max_decoding_message_size(limit))
        .add_service(memberships.max_decoding_message_size(limit))
        .add_service(invitations.max_decoding_message_size(limit))
        .add_service(access_requests.max_decoding_message_size(limit))
        .add_service(applications.max_decoding_message_size(limit))
        .add_service(roles.max_decoding_message_size(limit))
        .add_service(permissions.max_decoding_message_size(limit))
        .add_service(audit.max_decoding_message_size(limit))
}

impl Organisations {
    /// Answers a call: a repeated one as the first time, and a refused one not without writing it
    /// into the history.
    async fn answer<R: Message + Default>(
        &self,
        call: &Call,
        outcome: impl Future<Output = Result<R, Error>>,
    ) -> Answer<R> {
        match outcome.await {
            Ok(answer) => Ok(Response::new(answer)),
            Err(Error::Repeated(answer)) => match R::decode(answer.as_slice()) {
                Ok(answer) => Ok(Response::new(answer)),
                Err(error) => Err(service::internal(error)),
            },
            Err(error) => Err(self.refuse(call, error).await),
        }
    }

    /// Refuses a call: what is said to the caller, once it is in the history.
    async fn refuse(&self, call: &Call, error: Error) -> Status {
        if let Error::Invalid(mut fields) = error {
            call.complete(&mut fields);
            return Error::Invalid(fields).into();
        }
        if let Some(reason) = error.reason() {
            self.note_refusal(call, reason).await;
        }
        error.into()
    }

    /// The history has a bound: of what one subject is refused in a minute, the first 600.
    pub(crate) async fn note_refusal(&self, call: &Call, reason: &str) {
        const MOST: u64 = 600;
        let key = format!("usher:refusals:{}", call.subject);
        let counted = self.cache.count(&key, Duration::from_secs(60)).await;
        if counted.is_ok_and(|count| count > MOST) {
            return;
        }
        if let Err(error) = record_refusal(self, call, reason).await {
            tracing::warn!(%error, action = call.action, reason, "a refusal is not in the history");
        }
    }
}
