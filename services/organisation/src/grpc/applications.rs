use api::organisation::v1::{application_service_server::ApplicationService, *};
use tonic::Request;

use super::Answer;
use crate::{Organisations, applications as slices, call::Call};

#[tonic::async_trait]
impl ApplicationService for Organisations {
    async fn create_application(
        &self,
        request: Request<CreateApplicationRequest>,
    ) -> Answer<CreateApplicationResponse> {
        let (call, request) = Call::change(request, "applications.create", |it| &it.request_id)?;
        self.answer(&call, slices::create::create(self, &call, request)).await
    }

    async fn get_application(
        &self,
        request: Request<GetApplicationRequest>,
    ) -> Answer<GetApplicationResponse> {
        let (call, request) = Call::read(request, "applications.get")?;
        self.answer(&call, slices::get::get(self, &call, request)).await
    }

    async fn list_applications(
        &self,
        request: Request<ListApplicationsRequest>,
    ) -> Answer<ListApplicationsResponse> {
        let (call, request) = Call::read(request, "applications.list")?;
        self.answer(&call, slices::list::list(self, &call, request)).await
    }

    async fn update_application(
        &self,
        request: Request<UpdateApplicationRequest>,
    ) -> Answer<UpdateApplicationResponse> {
        let (call, request) = Call::change(request, "applications.update", |it| &it.request_id)?;
        self.answer(&call, slices::update::update(self, &call, request)).await
    }

    async fn remove_application(
        &self,
        request: Request<RemoveApplicationRequest>,
    ) -> Answer<RemoveApplicationResponse> {
        let (call, request) = Call::change(request, "applications.remove", |it| &it.request_id)?;
        self.answer(&call, slices::remove::remove(self, &call, request)).await
    }

    async fn rotate_callback_secret(
        &self,
        request: Request<RotateCallbackSecretRequest>,
    ) -> Answer<RotateCallbackSecretResponse> {
        let (call, request) =
            Call::change(request, "applications.rotate_callback_secret", |it| &it.request_id)?;
        self.answer(
            &call,
            slices::rotate_callback_secret::rotate_callback_secret(self, &call, request),
        )
        .await
    }

    async fn grant_application_access(
        &self,
        request: Request<GrantApplicationAccessRequest>,
    ) -> Answer<GrantApplicationAccessResponse> {
        let (call, request) =
            Call::change(request, "applications.grant_access", |it| &it.request_id)?;
        self.answer(&call, slices::grant_access::grant_access(self, &call, request)).await
    }

    async fn withdraw_application_access(
        &self,
        request: Request<WithdrawApplicationAccessRequest>,
    ) -> Answer<WithdrawApplicationAccessResponse> {
        let (call, request) =
            Call::change(request, "applications.withdraw_access", |it| &it.request_id)?;
        self.answer(&call, slices::withdraw_access::withdraw_access(self, &call, request)).await
    }

    async fn list_application_access(
        &self,
        request: Request<ListApplicationAccessRequest>,
    ) -> Answer<ListApplicationAccessResponse> {
        let (call, request) = Call::read(request, "applications.list_access")?;
        self.answer(&call, slices::list_access::list_access(self, &call, request)).await
    }
}
