use api::organisation::v1::{role_service_server::RoleService, *};
use tonic::Request;

use super::Answer;
use crate::{Organisations, call::Call, roles as slices};

#[tonic::async_trait]
impl RoleService for Organisations {
    async fn list_permissions(
        &self,
        request: Request<ListPermissionsRequest>,
    ) -> Answer<ListPermissionsResponse> {
        let (call, request) = Call::read(request, "roles.list_permissions")?;
        self.answer(&call, slices::list_permissions::list_permissions(request)).await
    }

    async fn create_role(&self, request: Request<CreateRoleRequest>) -> Answer<CreateRoleResponse> {
        let (call, request) = Call::change(request, "roles.create", |it| &it.request_id)?;
        self.answer(&call, slices::create::create(self, &call, request)).await
    }

    async fn get_role(&self, request: Request<GetRoleRequest>) -> Answer<GetRoleResponse> {
        let (call, request) = Call::read(request, "roles.get")?;
        self.answer(&call, slices::get::get(self, &call, request)).await
    }

    async fn list_roles(&self, request: Request<ListRolesRequest>) -> Answer<ListRolesResponse> {
        let (call, request) = Call::read(request, "roles.list")?;
        self.answer(&call, slices::list::list(self, &call, request)).await
    }

    async fn update_role(&self, request: Request<UpdateRoleRequest>) -> Answer<UpdateRoleResponse> {
        let (call, request) = Call::change(request, "roles.update", |it| &it.request_id)?;
        self.answer(&call, slices::update::update(self, &call, request)).await
    }

    async fn delete_role(&self, request: Request<DeleteRoleRequest>) -> Answer<DeleteRoleResponse> {
        let (call, request) = Call::change(request, "roles.delete", |it| &it.request_id)?;
        self.answer(&call, slices::delete::delete(self, &call, request)).await
    }
}
