use api::organisation::v1::ReissueInvitationRequest;
use axum::extract::State;

use super::{View, Viewed, shown};
use crate::{
    answer::Answer,
    bearer::Bearer,
    clients::Gateway,
    input::{Change, Id, Query, accept},
    openapi::Operation,
    problem::Problem,
};

/// `POST /api/organisation-invitations/{id}/reissue` → 200: a new link and a new mail; the earlier
/// link is dead. It takes no body.
pub(super) async fn reissue(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Id(id): Id,
    mut change: Change,
    mut query: Query,
) -> Result<Answer<Viewed>, Problem> {
    change.unconditional();
    let view = View::read(&mut query);
    accept([change.fields, query.fields])?;
    let request = ReissueInvitationRequest { id, request_id: change.request_id };
    let answer = gateway.invitations(bearer.into()).reissue_invitation(request).await?;
    shown(answer.into_inner().invitation, view)
}

pub(super) fn about() -> Operation {
    Operation::new("Issue a new link and send a new mail", 200)
        .repeatable()
        .query([View::field()])
        .answers::<Viewed>()
        .tagged()
        .refuses(403, &["PERMISSION_MISSING", "GRANT_CEILING_EXCEEDED", "ROLE_NOT_INVITABLE"])
        .refuses(404, &["INVITATION_NOT_FOUND"])
        .refuses(409, &["INVITATION_ACCEPTED", "INVITATION_REVOKED", "INVITATION_DECLINED"])
        .refuses(409, &["ACCOUNT_UNUSABLE", "DOMAIN_NOT_ALLOWED", "ORGANISATION_ARCHIVED"])
        .refuses(429, &["TOO_MANY_INVITATIONS"])
}
