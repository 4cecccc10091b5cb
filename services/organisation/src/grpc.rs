use api::organisation::v1::{
    invitation_service_server::{InvitationService, InvitationServiceServer},
    membership_service_server::{MembershipService, MembershipServiceServer},
    organisation_service_server::{OrganisationService, OrganisationServiceServer},
    permission_service_server::{PermissionService, PermissionServiceServer},
    *,
};
use service::Caller;
use tonic::{Request, Response, Status, service::Routes};

use crate::{Organisations, invitations, memberships, organisations, permissions};

pub(crate) fn routes(service: Organisations, limit: usize) -> Routes {
    let organisations = OrganisationServiceServer::new(service.clone());
    let memberships = MembershipServiceServer::new(service.clone());
    let invitations = InvitationServiceServer::new(service.clone());
    let permissions = PermissionServiceServer::new(service);
    Routes::new(organisations.max_decoding_message_size(limit))
        .add_service(memberships.max_decoding_message_size(limit))
        .add_service(invitations.max_decoding_message_size(limit))
        .add_service(permissions.max_decoding_message_size(limit))
}

#[tonic::async_trait]
impl OrganisationService for Organisations {
    async fn create_organisation(
        &self,
        request: Request<CreateOrganisationRequest>,
    ) -> Result<Response<CreateOrganisationResponse>, Status> {
        let caller = Caller::of(&request)?;
        let answer = organisations::create::create(self, &caller, request.into_inner());
        Ok(Response::new(answer.await?))
    }

    async fn get_organisation(
        &self,
        request: Request<GetOrganisationRequest>,
    ) -> Result<Response<GetOrganisationResponse>, Status> {
        let caller = Caller::of(&request)?;
        let answer = organisations::get::get(self, &caller, request.into_inner());
        Ok(Response::new(answer.await?))
    }

    async fn list_organisations(
        &self,
        request: Request<ListOrganisationsRequest>,
    ) -> Result<Response<ListOrganisationsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let answer = organisations::list::list(self, &caller, request.into_inner());
        Ok(Response::new(answer.await?))
    }

    async fn update_organisation(
        &self,
        request: Request<UpdateOrganisationRequest>,
    ) -> Result<Response<UpdateOrganisationResponse>, Status> {
        let caller = Caller::of(&request)?;
        let answer = organisations::update::update(self, &caller, request.into_inner());
        Ok(Response::new(answer.await?))
    }
}

#[tonic::async_trait]
impl MembershipService for Organisations {
    async fn list_memberships(
        &self,
        request: Request<ListMembershipsRequest>,
    ) -> Result<Response<ListMembershipsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let answer = memberships::list::list(self, &caller, request.into_inner());
        Ok(Response::new(answer.await?))
    }
}

#[tonic::async_trait]
impl PermissionService for Organisations {
    async fn check_permission(
        &self,
        request: Request<CheckPermissionRequest>,
    ) -> Result<Response<CheckPermissionResponse>, Status> {
        let caller = Caller::of(&request)?;
        let answer = permissions::check::check(self, &caller, request.into_inner());
        Ok(Response::new(answer.await?))
    }
}

#[tonic::async_trait]
impl InvitationService for Organisations {
    async fn create_invitation(
        &self,
        request: Request<CreateInvitationRequest>,
    ) -> Result<Response<CreateInvitationResponse>, Status> {
        let caller = Caller::of(&request)?;
        let answer = invitations::create::create(self, &caller, request.into_inner());
        Ok(Response::new(answer.await?))
    }

    async fn get_invitation(
        &self,
        request: Request<GetInvitationRequest>,
    ) -> Result<Response<GetInvitationResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(invitations::get::get(self, &caller, request.into_inner()).await?))
    }

    async fn list_invitations(
        &self,
        request: Request<ListInvitationsRequest>,
    ) -> Result<Response<ListInvitationsResponse>, Status> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(invitations::list::list(self, &caller, request.into_inner()).await?))
    }

    async fn reissue_invitation(
        &self,
        request: Request<ReissueInvitationRequest>,
    ) -> Result<Response<ReissueInvitationResponse>, Status> {
        let caller = Caller::of(&request)?;
        let answer = invitations::reissue::reissue(self, &caller, request.into_inner());
        Ok(Response::new(answer.await?))
    }

    async fn revoke_invitation(
        &self,
        request: Request<RevokeInvitationRequest>,
    ) -> Result<Response<RevokeInvitationResponse>, Status> {
        let caller = Caller::of(&request)?;
        let answer = invitations::revoke::revoke(self, &caller, request.into_inner());
        Ok(Response::new(answer.await?))
    }

    async fn accept_invitation(
        &self,
        request: Request<AcceptInvitationRequest>,
    ) -> Result<Response<AcceptInvitationResponse>, Status> {
        let caller = Caller::of(&request)?;
        let answer = invitations::accept::accept(self, &caller, request.into_inner());
        Ok(Response::new(answer.await?))
    }

    async fn inspect_invitation_link(
        &self,
        request: Request<InspectInvitationLinkRequest>,
    ) -> Result<Response<InspectInvitationLinkResponse>, Status> {
        let answer = invitations::inspect_link::inspect_link(self, request.into_inner());
        Ok(Response::new(answer.await?))
    }

    async fn get_invitation_mail(
        &self,
        request: Request<GetInvitationMailRequest>,
    ) -> Result<Response<GetInvitationMailResponse>, Status> {
        let caller = Caller::of(&request)?;
        let answer = invitations::get_mail::get_mail(self, &caller, request.into_inner());
        Ok(Response::new(answer.await?))
    }
}
