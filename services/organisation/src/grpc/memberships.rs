use api::organisation::v1::{membership_service_server::MembershipService, *};
use tonic::Request;

use super::Answer;
use crate::{Organisations, call::Call, memberships as slices};

#[tonic::async_trait]
impl MembershipService for Organisations {
    async fn list_memberships(
        &self,
        request: Request<ListMembershipsRequest>,
    ) -> Answer<ListMembershipsResponse> {
        let (call, request) = Call::read(request, "members.list")?;
        self.answer(&call, slices::list::list(self, &call, request)).await
    }
}
