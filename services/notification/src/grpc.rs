//! The RPCs, each delegating to its use case.

use std::sync::Arc;

use api::notification::v1::{
    ClaimDeliveryRequest, ClaimDeliveryResponse, CreateSuppressionRequest,
    CreateSuppressionResponse, DeleteSenderRequest, DeleteSenderResponse, DeleteSuppressionRequest,
    DeleteSuppressionResponse, DeleteTemplateRequest, DeleteTemplateResponse,
    DiscardDeadLetterRequest, DiscardDeadLetterResponse, ExtendClaimRequest, ExtendClaimResponse,
    GetDeadLetterRequest, GetDeadLetterResponse, GetDeliveryCauseRequest, GetDeliveryCauseResponse,
    GetDeliveryRequest, GetDeliveryResponse, GetSenderRequest, GetSenderResponse,
    GetTemplateRequest, GetTemplateResponse, ListDeadLettersRequest, ListDeadLettersResponse,
    ListDeliveriesRequest, ListDeliveriesResponse, ListSuppressionsRequest,
    ListSuppressionsResponse, ListTemplateVersionsRequest, ListTemplateVersionsResponse,
    ListTemplatesRequest, ListTemplatesResponse, PreviewTemplateRequest, PreviewTemplateResponse,
    RecordAttemptRequest, RecordAttemptResponse, RenderMailRequest, RenderMailResponse,
    ReplayDeadLetterRequest, ReplayDeadLetterResponse, ReportBounceRequest, ReportBounceResponse,
    ResendDeliveryRequest, ResendDeliveryResponse, UnsubscribeRequest, UnsubscribeResponse,
    UpdateSenderRequest, UpdateSenderResponse, UpdateTemplateRequest, UpdateTemplateResponse,
    WithdrawDeliveryRequest, WithdrawDeliveryResponse,
    dead_letter_service_server::{DeadLetterService, DeadLetterServiceServer},
    delivery_service_server::{DeliveryService, DeliveryServiceServer},
    sender_service_server::{SenderService, SenderServiceServer},
    suppression_service_server::{SuppressionService, SuppressionServiceServer},
    template_service_server::{TemplateService, TemplateServiceServer},
};
use service::Caller;
use tonic::{Request, Response, Status, service::Routes};

use crate::{
    Notification, dead_letters,
    deliveries::{claim, extend, get, get_cause, list, record, report_bounce, resend, withdraw},
    senders, suppressions, templates,
};

/// The service's RPCs; no message may be longer than `message_bytes`.
pub(crate) fn routes(notification: Arc<Notification>, message_bytes: usize) -> Routes {
    let deliveries = DeliveryServiceServer::new(Grpc(notification.clone()));
    let senders = SenderServiceServer::new(Grpc(notification.clone()));
    let suppressions = SuppressionServiceServer::new(Grpc(notification.clone()));
    let dead_letters = DeadLetterServiceServer::new(Grpc(notification.clone()));
    let templates = TemplateServiceServer::new(Grpc(notification));
    Routes::new(deliveries.max_decoding_message_size(message_bytes))
        .add_service(senders.max_decoding_message_size(message_bytes))
        .add_service(suppressions.max_decoding_message_size(message_bytes))
        .add_service(dead_letters.max_decoding_message_size(message_bytes))
        .add_service(templates.max_decoding_message_size(message_bytes))
}

struct Grpc(Arc<Notification>);

#[tonic::async_trait]
impl DeliveryService for Grpc {
    async fn claim_delivery(
        &self,
        request: Request<ClaimDeliveryRequest>,
    ) -> Result<Response<ClaimDeliveryResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(claim::claim_delivery(&self.0, &caller, request.into_inner()).await?.into())
    }

    async fn extend_claim(
        &self,
        request: Request<ExtendClaimRequest>,
    ) -> Result<Response<ExtendClaimResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(extend::extend_claim(&self.0, &caller, request.into_inner()).await?.into())
    }

    async fn record_attempt(
        &self,
        request: Request<RecordAttemptRequest>,
    ) -> Result<Response<RecordAttemptResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(record::record_attempt(&self.0, &caller, request.into_inner()).await?.into())
    }

    async fn get_delivery(
        &self,
        request: Request<GetDeliveryRequest>,
    ) -> Result<Response<GetDeliveryResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(get::get_delivery(&self.0, &caller, request.into_inner()).await?.into())
    }

    async fn list_deliveries(
        &self,
        request: Request<ListDeliveriesRequest>,
    ) -> Result<Response<ListDeliveriesResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(list::list_deliveries(&self.0, &caller, request.into_inner()).await?.into())
    }

    async fn withdraw_delivery(
        &self,
        request: Request<WithdrawDeliveryRequest>,
    ) -> Result<Response<WithdrawDeliveryResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(withdraw::withdraw_delivery(&self.0, &caller, request.into_inner()).await?.into())
    }

    async fn get_delivery_cause(
        &self,
        request: Request<GetDeliveryCauseRequest>,
    ) -> Result<Response<GetDeliveryCauseResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(get_cause::get_delivery_cause(&self.0, &caller, request.into_inner()).await?.into())
    }

    async fn report_bounce(
        &self,
        request: Request<ReportBounceRequest>,
    ) -> Result<Response<ReportBounceResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(report_bounce::report_bounce(&self.0, &caller, request.into_inner()).await?.into())
    }

    async fn resend_delivery(
        &self,
        request: Request<ResendDeliveryRequest>,
    ) -> Result<Response<ResendDeliveryResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(resend::resend_delivery(&self.0, &caller, request.into_inner()).await?.into())
    }
}

#[tonic::async_trait]
impl SuppressionService for Grpc {
    async fn list_suppressions(
        &self,
        request: Request<ListSuppressionsRequest>,
    ) -> Result<Response<ListSuppressionsResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(suppressions::list::list_suppressions(&self.0, &caller, request.into_inner())
            .await?
            .into())
    }

    async fn create_suppression(
        &self,
        request: Request<CreateSuppressionRequest>,
    ) -> Result<Response<CreateSuppressionResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(suppressions::create::create_suppression(&self.0, &caller, request.into_inner())
            .await?
            .into())
    }

    async fn delete_suppression(
        &self,
        request: Request<DeleteSuppressionRequest>,
    ) -> Result<Response<DeleteSuppressionResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(suppressions::delete::delete_suppression(&self.0, &caller, request.into_inner())
            .await?
            .into())
    }

    async fn unsubscribe(
        &self,
        request: Request<UnsubscribeRequest>,
    ) -> Result<Response<UnsubscribeResponse>, Status> {
        Ok(suppressions::unsubscribe::unsubscribe(&self.0, request.into_inner()).await?.into())
    }
}

#[tonic::async_trait]
impl TemplateService for Grpc {
    async fn render_mail(
        &self,
        request: Request<RenderMailRequest>,
    ) -> Result<Response<RenderMailResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(templates::render::render_mail(&self.0, &caller, request.into_inner()).await?.into())
    }

    async fn list_templates(
        &self,
        request: Request<ListTemplatesRequest>,
    ) -> Result<Response<ListTemplatesResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(templates::list::list_templates(&self.0, &caller, request.into_inner()).await?.into())
    }

    async fn get_template(
        &self,
        request: Request<GetTemplateRequest>,
    ) -> Result<Response<GetTemplateResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(templates::get::get_template(&self.0, &caller, request.into_inner()).await?.into())
    }

    async fn update_template(
        &self,
        request: Request<UpdateTemplateRequest>,
    ) -> Result<Response<UpdateTemplateResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(templates::update::update_template(&self.0, &caller, request.into_inner()).await?.into())
    }

    async fn delete_template(
        &self,
        request: Request<DeleteTemplateRequest>,
    ) -> Result<Response<DeleteTemplateResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(templates::delete::delete_template(&self.0, &caller, request.into_inner()).await?.into())
    }

    async fn list_template_versions(
        &self,
        request: Request<ListTemplateVersionsRequest>,
    ) -> Result<Response<ListTemplateVersionsResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(templates::list_versions::list_template_versions(&self.0, &caller, request.into_inner())
            .await?
            .into())
    }

    async fn preview_template(
        &self,
        request: Request<PreviewTemplateRequest>,
    ) -> Result<Response<PreviewTemplateResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(templates::preview::preview_template(&self.0, &caller, request.into_inner())
            .await?
            .into())
    }
}

#[tonic::async_trait]
impl SenderService for Grpc {
    async fn get_sender(
        &self,
        request: Request<GetSenderRequest>,
    ) -> Result<Response<GetSenderResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(senders::get::get_sender(&self.0, &caller, request.into_inner()).await?.into())
    }

    async fn update_sender(
        &self,
        request: Request<UpdateSenderRequest>,
    ) -> Result<Response<UpdateSenderResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(senders::update::update_sender(&self.0, &caller, request.into_inner()).await?.into())
    }

    async fn delete_sender(
        &self,
        request: Request<DeleteSenderRequest>,
    ) -> Result<Response<DeleteSenderResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(senders::delete::delete_sender(&self.0, &caller, request.into_inner()).await?.into())
    }
}

#[tonic::async_trait]
impl DeadLetterService for Grpc {
    async fn list_dead_letters(
        &self,
        request: Request<ListDeadLettersRequest>,
    ) -> Result<Response<ListDeadLettersResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        Ok(dead_letters::list::list_dead_letters(&self.0, &caller, request).await?.into())
    }

    async fn get_dead_letter(
        &self,
        request: Request<GetDeadLetterRequest>,
    ) -> Result<Response<GetDeadLetterResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        Ok(dead_letters::get::get_dead_letter(&self.0, &caller, request).await?.into())
    }

    async fn replay_dead_letter(
        &self,
        request: Request<ReplayDeadLetterRequest>,
    ) -> Result<Response<ReplayDeadLetterResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        Ok(dead_letters::replay::replay_dead_letter(&self.0, &caller, request).await?.into())
    }

    async fn discard_dead_letter(
        &self,
        request: Request<DiscardDeadLetterRequest>,
    ) -> Result<Response<DiscardDeadLetterResponse>, Status> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        Ok(dead_letters::discard::discard_dead_letter(&self.0, &caller, request).await?.into())
    }
}
