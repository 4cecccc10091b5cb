use api::organisation::v1::ListInvitationsRequest;
use axum::{Json, extract::State};
use serde::Serialize;

use super::{Invitation, STATES};
use crate::{
    bearer::Bearer,
    clients::Gateway,
    input::{Query, accept},
    problem::Problem,
};

#[derive(Serialize)]
pub(super) struct Page {
    invitations: Vec<Invitation>,
    /// Empty on the last page.
    next_page_token: String,
}

/// `GET /api/organisation-invitations?organisation_id=&status=&page_size=&page_token=` → 200: those
/// of one organisation, newest last; without `status`, those in every state.
///
/// Errors: 403 `PERMISSION_MISSING`, 404 `ORGANISATION_NOT_FOUND`.
pub(super) async fn list(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    mut query: Query,
) -> Result<Json<Page>, Problem> {
    let request = ListInvitationsRequest {
        organisation_id: query.text("organisation_id"),
        state: query.one_of("status", &STATES).into(),
        page_size: query.number("page_size"),
        page_token: query.text("page_token"),
        ..Default::default()
    };
    accept([query.fields])?;
    let mut invitations = gateway.invitations(bearer.into());
    let answer = invitations.list_invitations(request).await;
    let answer = answer.map_err(|status| Problem::from(status).renaming("state", "status"))?;
    let answer = answer.into_inner();
    let invitations = answer.invitations.into_iter().map(Invitation::from).collect();
    Ok(Json(Page { invitations, next_page_token: answer.next_page_token }))
}
