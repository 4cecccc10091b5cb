use api::organisation::v1::{AcceptInvitationRequest, RevokeInvitationRequest};
use axum::{Json, extract::State};

use super::{Invitation, shown};
use crate::{
    bearer::Bearer,
    clients::Gateway,
    input::{Id, Object, accept},
    problem::Problem,
};

/// `PATCH /api/organisation-invitations/{id} {"status": "accepted" | "revoked"}` → 200: the invitee
/// takes the offer, or somebody entitled takes it back.
///
/// Errors: 403 `PERMISSION_MISSING`; 404 `INVITATION_NOT_FOUND`; 409 `INVITATION_ACCEPTED`,
/// `INVITATION_REVOKED`, `INVITATION_EXPIRED`, `INVITATION_DECLINED`, `INVITER_LOST_RIGHT`.
///
/// Source: `sources/002`, "User Accepts Invitation".
pub(super) async fn update(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Id(id): Id,
    mut body: Object,
) -> Result<Json<Invitation>, Problem> {
    let status = body.text("status");
    if !["accepted", "revoked"].contains(&status.as_str()) && body.fields.violations().is_empty() {
        body.fields.reject("status", "expected accepted or revoked");
    }
    accept([body.fields])?;
    let mut invitations = gateway.invitations(bearer.into());
    if status == "accepted" {
        let answer = invitations
            .accept_invitation(AcceptInvitationRequest { id, ..Default::default() })
            .await?;
        shown(answer.into_inner().invitation)
    } else {
        let answer = invitations
            .revoke_invitation(RevokeInvitationRequest { id, ..Default::default() })
            .await?;
        shown(answer.into_inner().invitation)
    }
}
