//! The RPCs, each delegating to its use case.

use std::sync::Arc;

use api::notification::v1::{
    ClaimDeliveryRequest, ClaimDeliveryResponse, GetDeliveryRequest, GetDeliveryResponse,
    ListDeliveriesRequest, ListDeliveriesResponse, RecordAttemptRequest, RecordAttemptResponse,
    RenderMailRequest, RenderMailResponse,
    delivery_service_server::{DeliveryService, DeliveryServiceServer},
    template_service_server::{TemplateService, TemplateServiceServer},
};
use service::Caller;
use tonic::{Request, Response, Status, service::Routes};

use crate::{
    Notification,
    deliveries::{claim, get, list, record},
    templates::render,
};

/// The service's RPCs; no message may be longer than `message_bytes`.
pub(crate) fn routes(notification: Arc<Notification>, message_bytes: usize) -> Routes {
    let deliveries = DeliveryServiceServer::new(Grpc(notification.clone()));
    let templates = TemplateServiceServer::new(Grpc(notification));
    Routes::new(deliveries.max_decoding_message_size(message_bytes))
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
}

#[tonic::async_trait]
impl TemplateService for Grpc {
    async fn render_mail(
        &self,
        request: Request<RenderMailRequest>,
    ) -> Result<Response<RenderMailResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(render::render_mail(&self.0, &caller, request.into_inner())?.into())
    }
}
