use api::organisation::v1::ReissueInvitationRequest;
use axum::{Json, extract::State};

use super::{Invitation, shown};
use crate::{bearer::Bearer, clients::Gateway, input::Id, problem::Problem};

/// `POST /api/organisation-invitations/{id}/reissue` → 200: a new link and a new mail; the earlier
/// link is dead. It takes no body.
///
/// Errors: 403 `PERMISSION_MISSING`, `GRANT_CEILING_EXCEEDED`; 404 `INVITATION_NOT_FOUND`; 409
/// `INVITATION_ACCEPTED`, `INVITATION_REVOKED`, `INVITATION_DECLINED`.
pub(super) async fn reissue(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Id(id): Id,
) -> Result<Json<Invitation>, Problem> {
    let mut invitations = gateway.invitations(bearer.into());
    let answer = invitations
        .reissue_invitation(ReissueInvitationRequest { id, ..Default::default() })
        .await?;
    shown(answer.into_inner().invitation)
}
