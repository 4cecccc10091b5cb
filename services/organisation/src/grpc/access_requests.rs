use api::organisation::v1::{access_request_service_server::AccessRequestService, *};
use tonic::Request;

use super::Answer;
use crate::{Organisations, access_requests as slices, call::Call};

#[tonic::async_trait]
impl AccessRequestService for Organisations {
    async fn create_access_request(
        &self,
        request: Request<CreateAccessRequestRequest>,
    ) -> Answer<CreateAccessRequestResponse> {
        let (call, request) = Call::change(request, "access_requests.create", |it| &it.request_id)?;
        self.answer(&call, slices::create::create(self, &call, request)).await
    }

    async fn get_access_request(
        &self,
        request: Request<GetAccessRequestRequest>,
    ) -> Answer<GetAccessRequestResponse> {
        let (call, request) = Call::read(request, "access_requests.get")?;
        self.answer(&call, slices::get::get(self, &call, request)).await
    }

    async fn list_access_requests(
        &self,
        request: Request<ListAccessRequestsRequest>,
    ) -> Answer<ListAccessRequestsResponse> {
        let (call, request) = Call::read(request, "access_requests.list")?;
        self.answer(&call, slices::list::list(self, &call, request)).await
    }

    async fn list_own_access_requests(
        &self,
        request: Request<ListOwnAccessRequestsRequest>,
    ) -> Answer<ListOwnAccessRequestsResponse> {
        let (call, request) = Call::read(request, "access_requests.list_own")?;
        self.answer(&call, slices::list_own::list_own(self, &call, request)).await
    }

    async fn approve_access_request(
        &self,
        request: Request<ApproveAccessRequestRequest>,
    ) -> Answer<ApproveAccessRequestResponse> {
        let (call, request) =
            Call::change(request, "access_requests.approve", |it| &it.request_id)?;
        self.answer(&call, slices::approve::approve(self, &call, request)).await
    }

    async fn reject_access_request(
        &self,
        request: Request<RejectAccessRequestRequest>,
    ) -> Answer<RejectAccessRequestResponse> {
        let (call, request) = Call::change(request, "access_requests.reject", |it| &it.request_id)?;
        self.answer(&call, slices::reject::reject(self, &call, request)).await
    }

    async fn withdraw_access_request(
        &self,
        request: Request<WithdrawAccessRequestRequest>,
    ) -> Answer<WithdrawAccessRequestResponse> {
        let (call, request) =
            Call::change(request, "access_requests.withdraw", |it| &it.request_id)?;
        self.answer(&call, slices::withdraw::withdraw(self, &call, request)).await
    }

    async fn get_access_request_mail(
        &self,
        request: Request<GetAccessRequestMailRequest>,
    ) -> Answer<GetAccessRequestMailResponse> {
        let (call, request) = Call::read(request, "access_requests.get_mail")?;
        self.answer(&call, slices::get_mail::get_mail(self, &call, request)).await
    }
}
