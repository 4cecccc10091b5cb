use api::organisation::v1::{ListOwnInvitationsRequest, OwnInvitation as Listed};
use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::{STATES, full::FullInvitation};
use crate::{
    bearer::Bearer,
    clients::Gateway,
    input::{Query, accept},
    openapi::{Field, Operation},
    problem::Problem,
};

/// A page of invitations to the caller.
#[derive(Serialize, ToSchema)]
pub(super) struct OwnInvitations {
    invitations: Vec<OwnInvitation>,
    /// Empty on the last page.
    next_page_token: String,
}

/// An invitation as the invitee sees it.
#[derive(Serialize, ToSchema)]
struct OwnInvitation {
    #[serde(flatten)]
    invitation: FullInvitation,
    organisation_display_name: String,
    inviter_display_name: String,
    application_display_name: String,
}

/// `GET /api/me/invitations?status=` → 200: those to the caller.
pub(super) async fn list_own(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    mut query: Query,
) -> Result<Json<OwnInvitations>, Problem> {
    let request = ListOwnInvitationsRequest {
        state: query.one_of("status", &STATES).into(),
        page_size: query.number("page_size"),
        page_token: query.text("page_token"),
    };
    accept([query.fields])?;
    let mut invitations = gateway.invitations(bearer.into());
    let answer = invitations.list_own_invitations(request).await;
    let answer = answer.map_err(|status| Problem::from(status).renaming("state", "status"))?;
    let answer = answer.into_inner();
    let invitations = answer.invitations.into_iter().map(OwnInvitation::from).collect();
    Ok(Json(OwnInvitations { invitations, next_page_token: answer.next_page_token }))
}

impl From<Listed> for OwnInvitation {
    fn from(listed: Listed) -> Self {
        Self {
            invitation: listed.invitation.unwrap_or_default().into(),
            organisation_display_name: listed.organisation_display_name,
            inviter_display_name: listed.inviter_display_name,
            application_display_name: listed.application_display_name,
        }
    }
}

pub(super) fn about() -> Operation {
    Operation::new("List the invitations to the caller", 200)
        .query([Field::one_of("status", &STATES, "Only those with this status.")])
        .query(Field::paging())
        .answers::<OwnInvitations>()
}
