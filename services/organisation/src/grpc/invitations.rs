use api::organisation::v1::{invitation_service_server::InvitationService, *};
use tonic::{Request, Response, Streaming};

use super::Answer;
use crate::{Organisations, call::Call, invitations as slices};

#[tonic::async_trait]
impl InvitationService for Organisations {
    async fn create_invitation(
        &self,
        request: Request<CreateInvitationRequest>,
    ) -> Answer<CreateInvitationResponse> {
        let (call, request) = Call::change(request, "invitations.create", |it| &it.request_id)?;
        self.answer(&call, slices::create::create(self, &call, request)).await
    }

    async fn get_invitation(
        &self,
        request: Request<GetInvitationRequest>,
    ) -> Answer<GetInvitationResponse> {
        let (call, request) = Call::read(request, "invitations.get")?;
        self.answer(&call, slices::get::get(self, &call, request)).await
    }

    async fn list_invitations(
        &self,
        request: Request<ListInvitationsRequest>,
    ) -> Answer<ListInvitationsResponse> {
        let (call, request) = Call::read(request, "invitations.list")?;
        self.answer(&call, slices::list::list(self, &call, request)).await
    }

    async fn list_own_invitations(
        &self,
        request: Request<ListOwnInvitationsRequest>,
    ) -> Answer<ListOwnInvitationsResponse> {
        let (call, request) = Call::read(request, "invitations.list_own")?;
        self.answer(&call, slices::list_own::list_own(self, &call, request)).await
    }

    async fn update_invitation(
        &self,
        request: Request<UpdateInvitationRequest>,
    ) -> Answer<UpdateInvitationResponse> {
        let (call, request) = Call::change(request, "invitations.update", |it| &it.request_id)?;
        self.answer(&call, slices::update::update(self, &call, request)).await
    }

    async fn reissue_invitation(
        &self,
        request: Request<ReissueInvitationRequest>,
    ) -> Answer<ReissueInvitationResponse> {
        let (call, request) = Call::change(request, "invitations.reissue", |it| &it.request_id)?;
        self.answer(&call, slices::reissue::reissue(self, &call, request)).await
    }

    async fn revoke_invitation(
        &self,
        request: Request<RevokeInvitationRequest>,
    ) -> Answer<RevokeInvitationResponse> {
        let (call, request) = Call::change(request, "invitations.revoke", |it| &it.request_id)?;
        self.answer(&call, slices::revoke::revoke(self, &call, request)).await
    }

    async fn decline_invitation(
        &self,
        request: Request<DeclineInvitationRequest>,
    ) -> Answer<DeclineInvitationResponse> {
        let (call, request) = Call::change(request, "invitations.decline", |it| &it.request_id)?;
        self.answer(&call, slices::decline::decline(self, &call, request)).await
    }

    async fn accept_invitation(
        &self,
        request: Request<AcceptInvitationRequest>,
    ) -> Answer<AcceptInvitationResponse> {
        let (call, request) = Call::change(request, "invitations.accept", |it| &it.request_id)?;
        self.answer(&call, slices::accept::accept(self, &call, request)).await
    }

    async fn import_invitations(
        &self,
        request: Request<Streaming<ImportInvitationsRequest>>,
    ) -> Answer<slices::import::Results> {
        let (call, rows) = Call::read(request, "invitations.import")?;
        Ok(Response::new(slices::import::import(self, call, rows).await?))
    }

    async fn inspect_invitation_link(
        &self,
        request: Request<InspectInvitationLinkRequest>,
    ) -> Answer<InspectInvitationLinkResponse> {
        Ok(Response::new(slices::inspect_link::inspect_link(self, request.into_inner()).await?))
    }

    async fn get_invitation_mail(
        &self,
        request: Request<GetInvitationMailRequest>,
    ) -> Answer<GetInvitationMailResponse> {
        let (call, request) = Call::read(request, "invitations.get_mail")?;
        self.answer(&call, slices::get_mail::get_mail(self, &call, request)).await
    }
}
