use api::organisation::v1::{audit_service_server::AuditService, *};
use futures::TryStreamExt as _;
use tonic::{Request, Response, Status, codegen::BoxStream};

use super::Answer;
use crate::{Organisations, audit as slices, call::Call};

#[tonic::async_trait]
impl AuditService for Organisations {
    async fn list_audit_records(
        &self,
        request: Request<ListAuditRecordsRequest>,
    ) -> Answer<ListAuditRecordsResponse> {
        let (call, request) = Call::read(request, "audit.list")?;
        self.answer(&call, slices::list::list(self, &call, request)).await
    }

    async fn export_audit_records(
        &self,
        request: Request<ExportAuditRecordsRequest>,
    ) -> Answer<BoxStream<ExportAuditRecordsResponse>> {
        let (call, request) = Call::read(request, "audit.export")?;
        match slices::export::export(self, &call, request).await {
            Ok(records) => Ok(Response::new(Box::pin(records.map_err(Status::from)))),
            Err(error) => Err(self.refuse(&call, error).await),
        }
    }
}
