use api::organisation::v1::GetInvitationRequest;
use axum::extract::State;

use super::{View, Viewed, shown};
use crate::{
    answer::Answer,
    bearer::Bearer,
    clients::Gateway,
    input::{Id, Query, accept},
    openapi::Operation,
    problem::Problem,
};

/// `GET /api/organisation-invitations/{id}?view=` → 200. What the caller may not see answers like
/// what is not there.
pub(super) async fn get(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Id(id): Id,
    mut query: Query,
) -> Result<Answer<Viewed>, Problem> {
    let view = View::read(&mut query);
    accept([query.fields])?;
    let mut invitations = gateway.invitations(bearer.into());
    let answer = invitations.get_invitation(GetInvitationRequest { id }).await?.into_inner();
    shown(answer.invitation, view)
}

pub(super) fn about() -> Operation {
    Operation::new("Read an invitation", 200)
        .query([View::field()])
        .answers::<Viewed>()
        .tagged()
        .refuses(404, &["INVITATION_NOT_FOUND"])
}
