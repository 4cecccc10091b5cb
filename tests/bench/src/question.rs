//! What is asked of the organisation service.

use anyhow::Result;
use api::organisation::v1::{
    ListInvitationsRequest, ListMembershipsRequest, ListOrganisationsRequest,
    ListPermittedOrganisationsRequest, ListSubjectMembershipsRequest,
    invitation_service_client::InvitationServiceClient,
    membership_service_client::MembershipServiceClient,
    organisation_service_client::OrganisationServiceClient,
    permission_service_client::PermissionServiceClient,
};
use testkit::with_token;
use tonic::transport::Channel;

/// A list, without its pages.
pub enum Question {
    Members(ListMembershipsRequest),
    Invitations(ListInvitationsRequest),
    Organisations(ListOrganisationsRequest),
    Permitted(ListPermittedOrganisationsRequest),
    OwnMemberships,
}

/// What was answered.
pub struct Page {
    pub rows: usize,
    pub next: String,
}

impl Question {
    /// Asks for the page that a token stands for, the longest there is.
    pub async fn ask(&self, channel: &Channel, bearer: &str, page_token: &str) -> Result<Page> {
        let (channel, page_token, page_size) = (channel.clone(), page_token.to_owned(), 100);
        let (rows, next) = match self {
            Self::Members(request) => {
                let request = ListMembershipsRequest { page_token, page_size, ..request.clone() };
                let mut service = MembershipServiceClient::new(channel);
                let answer = service.list_memberships(with_token(bearer, request)).await?;
                let answer = answer.into_inner();
                (answer.memberships.len(), answer.next_page_token)
            }
            Self::Invitations(request) => {
                let request = ListInvitationsRequest { page_token, page_size, ..request.clone() };
                let mut service = InvitationServiceClient::new(channel);
                let answer = service.list_invitations(with_token(bearer, request)).await?;
                let answer = answer.into_inner();
                (answer.invitations.len(), answer.next_page_token)
            }
            Self::Organisations(request) => {
                let request = ListOrganisationsRequest { page_token, page_size, ..request.clone() };
                let mut service = OrganisationServiceClient::new(channel);
                let answer = service.list_organisations(with_token(bearer, request)).await?;
                let answer = answer.into_inner();
                (answer.organisations.len(), answer.next_page_token)
            }
            Self::Permitted(request) => {
                let page_size = 1_000;
                let request =
                    ListPermittedOrganisationsRequest { page_token, page_size, ..request.clone() };
                let mut service = PermissionServiceClient::new(channel);
                let request = with_token(bearer, request);
                let answer = service.list_permitted_organisations(request).await?.into_inner();
                (answer.organisation_ids.len(), answer.next_page_token)
            }
            Self::OwnMemberships => {
                let user_id = String::new();
                let request = ListSubjectMembershipsRequest { user_id, page_size, page_token };
                let mut service = MembershipServiceClient::new(channel);
                let answer = service.list_subject_memberships(with_token(bearer, request)).await?;
                let answer = answer.into_inner();
                (answer.memberships.len(), answer.next_page_token)
            }
        };
        Ok(Page { rows, next })
    }
}
