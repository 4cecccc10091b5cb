//! Peers that answer what the [`World`] says.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
};

use api::{
    identity::v1::{
        self as identity,
        service_account_service_server::{ServiceAccountService, ServiceAccountServiceServer},
        user_service_server::{UserService, UserServiceServer},
    },
    notification::v1::{
        self as notification, AttemptOutcome, Delivery, DeliveryState, RenderMailResponse,
        delivery_service_server::{DeliveryService, DeliveryServiceServer},
        template_service_server::{TemplateService, TemplateServiceServer},
    },
    organisation::v1::{
        self as organisation, GetAccessRequestMailResponse, GetInvitationMailResponse,
        access_request_service_server::{AccessRequestService, AccessRequestServiceServer},
        invitation_service_server::{InvitationService, InvitationServiceServer},
    },
};
use kernel::Uuid;
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

use super::World;

/// Serves every peer on one socket.
pub(super) fn serve(world: Arc<Mutex<World>>, listener: TcpListener) {
    let fakes = Fakes(world);
    let server = Server::builder()
        .add_service(ServiceAccountServiceServer::new(fakes.clone()))
        .add_service(UserServiceServer::new(fakes.clone()))
        .add_service(InvitationServiceServer::new(fakes.clone()))
        .add_service(AccessRequestServiceServer::new(fakes.clone()))
        .add_service(DeliveryServiceServer::new(fakes.clone()))
        .add_service(TemplateServiceServer::new(fakes));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
}

/// Every peer at once.
#[derive(Clone)]
struct Fakes(Arc<Mutex<World>>);

impl Fakes {
    /// The world, unless the call is to fail.
    fn answer(&self, call: &'static str) -> Result<MutexGuard<'_, World>, Status> {
        let mut world = self.0.lock().unwrap();
        match world.failures.get_mut(call).and_then(VecDeque::pop_front) {
            Some(code) => Err(Status::new(code, "about ada@example.com")),
            None => Ok(world),
        }
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl ServiceAccountService for Fakes {
    async fn issue_service_token(
        &self,
        request: Request<identity::IssueServiceTokenRequest>,
    ) -> Answer<identity::IssueServiceTokenResponse> {
        assert_eq!(request.into_inner().name, "mailer");
        let hangs = {
            let mut world = self.answer("IssueServiceToken")?;
            world.tokens += 1;
            world.no_tokens
        };
        if hangs {
            std::future::pending::<()>().await;
        }
        Ok(Response::new(identity::IssueServiceTokenResponse {
            access_token: "token".to_owned(),
            expires_in: Some(prost_types::Duration { seconds: 600, nanos: 0 }),
        }))
    }
}

#[tonic::async_trait]
impl UserService for Fakes {
    async fn get_user(
        &self,
        request: Request<identity::GetUserRequest>,
    ) -> Answer<identity::GetUserResponse> {
        assert_eq!(request.metadata().get("authorization").unwrap(), "Bearer token");
        assert_eq!(request.into_inner().id, Uuid::from_u128(3).to_string());
        let user = self.answer("GetUser")?.user.clone();
        Ok(Response::new(identity::GetUserResponse { user: Some(user) }))
    }
}

#[tonic::async_trait]
impl InvitationService for Fakes {
    async fn get_invitation_mail(
        &self,
        request: Request<organisation::GetInvitationMailRequest>,
    ) -> Answer<GetInvitationMailResponse> {
        let request = request.into_inner();
        assert_eq!(request.issue, 1);
        let world = self.answer("GetInvitationMail")?;
        let mut mail = world.mail.clone();
        if let Some(email) = world.invitees.get(&request.invitation_id) {
            mail.invitation.as_mut().unwrap().email.clone_from(email);
        }
        Ok(Response::new(mail))
    }
}

#[tonic::async_trait]
impl AccessRequestService for Fakes {
    async fn get_access_request_mail(
        &self,
        request: Request<organisation::GetAccessRequestMailRequest>,
    ) -> Answer<GetAccessRequestMailResponse> {
        assert_eq!(request.metadata().get("authorization").unwrap(), "Bearer token");
        let request = request.into_inner();
        let ids = (request.access_request_id.as_str(), request.recipient_id.as_str());
        let (access_request, recipient) = (Uuid::from_u128(4), Uuid::from_u128(3));
        assert_eq!(ids, (access_request.to_string().as_str(), recipient.to_string().as_str()));
        let mut world = self.answer("GetAccessRequestMail")?;
        world.asked.push(request.mail());
        Ok(Response::new(world.request.clone()))
    }
}

#[tonic::async_trait]
impl DeliveryService for Fakes {
    async fn claim_delivery(
        &self,
        request: Request<notification::ClaimDeliveryRequest>,
    ) -> Answer<notification::ClaimDeliveryResponse> {
        let request = request.into_inner();
        let mut world = self.answer("ClaimDelivery")?;
        world.claims.push(request.clone());
        let gives_up = world.gives_up;
        let id = format!("delivery-{}", request.event_id);
        let key = (request.event_id.clone(), request.recipient.clone());
        let (delivery, is_final) = world.deliveries.entry(key).or_default();
        *delivery = Delivery {
            message_id: format!("<{id}@usher>"),
            id,
            event_id: request.event_id,
            organisation_id: request.organisation_id,
            invitation_id: request.invitation_id,
            recipient: request.recipient,
            template: request.template,
            locale: request.locale,
            access_request_id: request.access_request_id,
            ..Default::default()
        };
        if let Some(("ClaimDelivery", reason)) = gives_up {
            *is_final = true;
            give_up(delivery, reason);
        }
        let claim_id = if *is_final { String::new() } else { "claim".to_owned() };
        let is_reminder = !*is_final && delivery.template.contains("remind");
        let delivery = Some(delivery.clone());
        let unsubscribe_url =
            if is_reminder { world.unsubscribe_url.clone() } else { String::new() };
        let answer = notification::ClaimDeliveryResponse { delivery, claim_id, unsubscribe_url };
        Ok(Response::new(answer))
    }

    async fn extend_claim(
        &self,
        request: Request<notification::ExtendClaimRequest>,
    ) -> Answer<notification::ExtendClaimResponse> {
        assert_eq!(request.into_inner().claim_id, "claim");
        self.0.lock().unwrap().extended += 1;
        drop(self.answer("ExtendClaim")?);
        Ok(Response::new(notification::ExtendClaimResponse {}))
    }

    async fn record_attempt(
        &self,
        request: Request<notification::RecordAttemptRequest>,
    ) -> Answer<notification::RecordAttemptResponse> {
        let request = request.into_inner();
        assert_eq!(request.claim_id, "claim");
        let mut world = self.answer("RecordAttempt")?;
        let outcome = request.outcome();
        world.recorded.push((outcome, request.error));
        world.replies.push((request.reason, request.reply_code, request.enhanced_status));
        let gives_up = world.gives_up;
        let mut recorded = Delivery::default();
        for (delivery, is_final) in world.deliveries.values_mut() {
            if delivery.id == request.delivery_id {
                *is_final = outcome != AttemptOutcome::Delayed;
                if let Some(("RecordAttempt", reason)) = gives_up {
                    give_up(delivery, reason);
                }
                recorded = delivery.clone();
            }
        }
        let delivery = Some(recorded);
        Ok(Response::new(notification::RecordAttemptResponse { delivery }))
    }

    async fn withdraw_delivery(
        &self,
        request: Request<notification::WithdrawDeliveryRequest>,
    ) -> Answer<notification::WithdrawDeliveryResponse> {
        let request = request.into_inner();
        let reason = request.reason();
        self.answer("WithdrawDelivery")?.withdrawn.push((request.event_id, reason));
        Ok(Response::new(notification::WithdrawDeliveryResponse {}))
    }

    async fn get_delivery_cause(
        &self,
        request: Request<notification::GetDeliveryCauseRequest>,
    ) -> Answer<notification::GetDeliveryCauseResponse> {
        assert_eq!(request.into_inner().delivery_id, Uuid::from_u128(5).to_string());
        Ok(Response::new(self.answer("GetDeliveryCause")?.cause.clone()))
    }
}

fn give_up(delivery: &mut Delivery, reason: &str) {
    delivery.set_state(DeliveryState::Failed);
    reason.clone_into(&mut delivery.reason);
}

#[tonic::async_trait]
impl TemplateService for Fakes {
    async fn render_mail(
        &self,
        request: Request<notification::RenderMailRequest>,
    ) -> Answer<RenderMailResponse> {
        let mut world = self.answer("RenderMail")?;
        world.filled.push(request.into_inner());
        Ok(Response::new(world.rendered.clone()))
    }
}
