use api::organisation::v1::{permission_service_server::PermissionService, *};
use tonic::Request;

use super::Answer;
use crate::{Organisations, call::Call, permissions as slices};

#[tonic::async_trait]
impl PermissionService for Organisations {
    async fn check_permission(
        &self,
        request: Request<CheckPermissionRequest>,
    ) -> Answer<CheckPermissionResponse> {
        let (call, request) = Call::read(request, "permissions.check")?;
        self.answer(&call, slices::check::check(self, &call, request)).await
    }

    async fn batch_check_permissions(
        &self,
        request: Request<BatchCheckPermissionsRequest>,
    ) -> Answer<BatchCheckPermissionsResponse> {
        let (call, request) = Call::read(request, "permissions.batch_check")?;
        self.answer(&call, slices::batch_check::batch_check(self, &call, request)).await
    }

    async fn list_permitted_organisations(
        &self,
        request: Request<ListPermittedOrganisationsRequest>,
    ) -> Answer<ListPermittedOrganisationsResponse> {
        let (call, request) = Call::read(request, "permissions.list_permitted")?;
        self.answer(&call, slices::list_permitted::list_permitted(self, &call, request)).await
    }

    async fn explain_permission(
        &self,
        request: Request<ExplainPermissionRequest>,
    ) -> Answer<ExplainPermissionResponse> {
        let (call, request) = Call::read(request, "permissions.explain")?;
        self.answer(&call, slices::explain::explain(self, &call, request)).await
    }
}
