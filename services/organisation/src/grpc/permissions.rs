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
}
