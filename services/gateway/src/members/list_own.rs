use api::organisation::v1::ListSubjectMembershipsRequest;
use axum::{Json, extract::State};

use super::{Member, Members};
use crate::{
    bearer::Bearer,
    clients::Gateway,
    input::{Query, accept},
    openapi::{Field, Operation},
    problem::Problem,
};

/// `GET /api/me/memberships` → 200: the caller's own, in order of joining.
pub(super) async fn list_own(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    mut query: Query,
) -> Result<Json<Members>, Problem> {
    let request = ListSubjectMembershipsRequest {
        user_id: String::new(),
        page_size: query.number("page_size"),
        page_token: query.text("page_token"),
    };
    accept([query.fields])?;
    let mut memberships = gateway.memberships(bearer.into());
    let answer = memberships.list_subject_memberships(request).await?.into_inner();
    let members = answer.memberships.into_iter().map(Member::from).collect();
    Ok(Json(Members { members, next_page_token: answer.next_page_token }))
}

pub(super) fn about() -> Operation {
    Operation::new("List the caller's own memberships", 200)
        .query(Field::paging())
        .answers::<Members>()
}
