use api::organisation::v1::ListMembershipsRequest;
use axum::{Json, extract::State};

use super::{Member, Members, STATES};
use crate::{
    bearer::Bearer,
    clients::Gateway,
    input::{Id, Query, accept},
    openapi::{Field, Operation},
    problem::Problem,
};

/// `GET /api/organisations/{id}/members?status=&role=&query=&order_by=` → 200: the members of one
/// organisation, those invited among them, in order of joining.
pub(super) async fn list(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Id(id): Id,
    mut query: Query,
) -> Result<Json<Members>, Problem> {
    let request = ListMembershipsRequest {
        organisation_id: id,
        page_size: query.number("page_size"),
        page_token: query.text("page_token"),
        state: query.one_of("status", &STATES).into(),
        role: query.text("role"),
        query: query.text("query"),
        order_by: query.text("order_by"),
    };
    accept([query.fields])?;
    let mut memberships = gateway.memberships(bearer.into());
    let answer = memberships.list_memberships(request).await;
    let answer = answer.map_err(|status| {
        Problem::from(status).renaming("organisation_id", "id").renaming("state", "status")
    })?;
    let answer = answer.into_inner();
    let members = answer.memberships.into_iter().map(Member::from).collect();
    Ok(Json(Members { members, next_page_token: answer.next_page_token }))
}

pub(super) fn about() -> Operation {
    Operation::new("List the members of an organisation, those invited among them", 200)
        .query([
            Field::one_of("status", &STATES, "Only those with this status."),
            Field::text("role", "Only those with this role."),
            Field::text("query", "Only those whose name or address begins so."),
            Field::text(
                "order_by",
                "`created_at` (the default) or `display_name`, or with ` desc`.",
            ),
        ])
        .query(Field::paging())
        .answers::<Members>()
        .refuses(403, &["PERMISSION_MISSING"])
        .refuses(404, &["ORGANISATION_NOT_FOUND"])
}
