use api::organisation::v1::{membership_service_server::MembershipService, *};
use tonic::Request;

use super::Answer;
use crate::{Organisations, call::Call, memberships as slices};

#[tonic::async_trait]
impl MembershipService for Organisations {
    async fn create_membership(
        &self,
        request: Request<CreateMembershipRequest>,
    ) -> Answer<CreateMembershipResponse> {
        let (call, request) = Call::change(request, "members.create", |it| &it.request_id)?;
        self.answer(&call, slices::create::create(self, &call, request)).await
    }

    async fn get_membership(
        &self,
        request: Request<GetMembershipRequest>,
    ) -> Answer<GetMembershipResponse> {
        let (call, request) = Call::read(request, "members.get")?;
        self.answer(&call, slices::get::get(self, &call, request)).await
    }

    async fn list_memberships(
        &self,
        request: Request<ListMembershipsRequest>,
    ) -> Answer<ListMembershipsResponse> {
        let (call, request) = Call::read(request, "members.list")?;
        self.answer(&call, slices::list::list(self, &call, request)).await
    }

    async fn list_subject_memberships(
        &self,
        request: Request<ListSubjectMembershipsRequest>,
    ) -> Answer<ListSubjectMembershipsResponse> {
        let (call, request) = Call::read(request, "members.list_own")?;
        self.answer(&call, slices::list_own::list_own(self, &call, request)).await
    }

    async fn update_membership(
        &self,
        request: Request<UpdateMembershipRequest>,
    ) -> Answer<UpdateMembershipResponse> {
        let (call, request) = Call::change(request, "members.update", |it| &it.request_id)?;
        self.answer(&call, slices::update::update(self, &call, request)).await
    }

    async fn suspend_membership(
        &self,
        request: Request<SuspendMembershipRequest>,
    ) -> Answer<SuspendMembershipResponse> {
        let (call, request) = Call::change(request, "members.suspend", |it| &it.request_id)?;
        self.answer(&call, slices::suspend::suspend(self, &call, request)).await
    }

    async fn resume_membership(
        &self,
        request: Request<ResumeMembershipRequest>,
    ) -> Answer<ResumeMembershipResponse> {
        let (call, request) = Call::change(request, "members.resume", |it| &it.request_id)?;
        self.answer(&call, slices::resume::resume(self, &call, request)).await
    }

    async fn remove_membership(
        &self,
        request: Request<RemoveMembershipRequest>,
    ) -> Answer<RemoveMembershipResponse> {
        let (call, request) = Call::change(request, "members.remove", |it| &it.request_id)?;
        self.answer(&call, slices::remove::remove(self, &call, request)).await
    }
}
