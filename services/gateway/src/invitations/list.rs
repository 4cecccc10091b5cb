use api::organisation::v1::ListInvitationsRequest;
use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::{DELIVERY_STATES, STATES, View, Viewed};
use crate::{
    bearer::Bearer,
    clients::Gateway,
    input::{Query, accept},
    openapi::{Field, Operation},
    problem::Problem,
};

/// A page of invitations.
#[derive(Serialize, ToSchema)]
pub(super) struct Invitations {
    invitations: Vec<Viewed>,
    /// Empty on the last page.
    next_page_token: String,
}

/// `GET /api/organisation-invitations?organisation_id=&status=&view=…` → 200: those of one
/// organisation (with `recursive`, of those below it too), newest last; without `status`, those in
/// every state.
pub(super) async fn list(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    mut query: Query,
) -> Result<Json<Invitations>, Problem> {
    let view = View::read(&mut query);
    let request = ListInvitationsRequest {
        organisation_id: query.text("organisation_id"),
        state: query.one_of("status", &STATES).into(),
        page_size: query.number("page_size"),
        page_token: query.text("page_token"),
        recursive: query.flag("recursive"),
        inviter_id: query.text("inviter_id"),
        email: query.text("email"),
        application_id: query.text("application_id"),
        source_id: query.text("source_id"),
        order_by: query.text("order_by"),
        delivery_state: query.one_of("delivery_state", &DELIVERY_STATES).into(),
    };
    accept([query.fields])?;
    let mut invitations = gateway.invitations(bearer.into());
    let answer = invitations.list_invitations(request).await;
    let answer = answer.map_err(|status| Problem::from(status).renaming("state", "status"))?;
    let answer = answer.into_inner();
    let invitations = answer.invitations.into_iter().map(|invitation| view.of(invitation));
    let invitations = invitations.collect();
    Ok(Json(Invitations { invitations, next_page_token: answer.next_page_token }))
}

pub(super) fn about() -> Operation {
    Operation::new("List the invitations of an organisation", 200)
        .query([
            Field::id("organisation_id", "Where.").required(),
            Field::one_of("status", &STATES, "Only those with this status."),
            Field::one_of("delivery_state", &DELIVERY_STATES, "Only those whose mail fares so."),
            Field::flag("recursive", "Those of the organisations below too."),
            Field::id("inviter_id", "Only those by them."),
            Field::text("email", "Only those to this address, in any spelling."),
            Field::id("application_id", "Only those for this application."),
            Field::text("source_id", "Only that which the caller knows by this."),
            Field::text("order_by", "`created_at` (the default), or with ` desc`."),
            View::field(),
        ])
        .query(Field::paging())
        .answers::<Invitations>()
        .refuses(403, &["PERMISSION_MISSING"])
        .refuses(404, &["ORGANISATION_NOT_FOUND"])
}
