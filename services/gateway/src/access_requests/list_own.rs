use api::organisation::v1::ListOwnAccessRequestsRequest;
use axum::{Json, extract::State};

use super::{AccessRequest, AccessRequests, STATES};
use crate::{
    bearer::Bearer,
    clients::Gateway,
    input::{Query, accept},
    openapi::{Field, Operation},
    problem::Problem,
};

/// `GET /api/me/access-requests?status=` → 200: the caller's own.
pub(super) async fn list_own(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    mut query: Query,
) -> Result<Json<AccessRequests>, Problem> {
    let request = ListOwnAccessRequestsRequest {
        state: query.one_of("status", &STATES).into(),
        page_size: query.number("page_size"),
        page_token: query.text("page_token"),
    };
    accept([query.fields])?;
    let answer = gateway.access_requests(bearer.into()).list_own_access_requests(request).await;
    let answer = answer.map_err(|status| Problem::from(status).renaming("state", "status"))?;
    let answer = answer.into_inner();
    let access_requests = answer.access_requests.into_iter().map(AccessRequest::from).collect();
    Ok(Json(AccessRequests { access_requests, next_page_token: answer.next_page_token }))
}

pub(super) fn about() -> Operation {
    Operation::new("List the caller's own access requests", 200)
        .query([Field::one_of("status", &STATES, "Only those with this status.")])
        .query(Field::paging())
        .answers::<AccessRequests>()
}
