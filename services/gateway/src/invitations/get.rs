use api::organisation::v1::GetInvitationRequest;
use axum::{Json, extract::State};

use super::{Invitation, shown};
use crate::{bearer::Bearer, clients::Gateway, input::Id, problem::Problem};

/// `GET /api/organisation-invitations/{id}` → 200.
///
/// Errors: 404 `INVITATION_NOT_FOUND`, also for what the caller may not see.
pub(super) async fn get(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Id(id): Id,
) -> Result<Json<Invitation>, Problem> {
    let mut invitations = gateway.invitations(bearer.into());
    let answer = invitations.get_invitation(GetInvitationRequest { id }).await?.into_inner();
    shown(answer.invitation)
}
