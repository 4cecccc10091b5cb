use api::organisation::v1::ListAccessRequestsRequest;
use axum::{Json, extract::State};

use super::{AccessRequest, AccessRequests, STATES};
use crate::{
    bearer::Bearer,
    clients::Gateway,
    input::{Query, accept},
    openapi::{Field, Operation},
    problem::Problem,
};

/// `GET /api/access-requests?organisation_id=&status=&overdue=&no_approvers=&application_id=` → 200:
/// those at an organisation and below it, or, without one, all that the caller may decide.
pub(super) async fn list(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    mut query: Query,
) -> Result<Json<AccessRequests>, Problem> {
    let request = ListAccessRequestsRequest {
        organisation_id: query.text("organisation_id"),
        state: query.one_of("status", &STATES).into(),
        overdue: query.flag("overdue"),
        no_approvers: query.flag("no_approvers"),
        application_id: query.text("application_id"),
        order_by: query.text("order_by"),
        page_size: query.number("page_size"),
        page_token: query.text("page_token"),
    };
    accept([query.fields])?;
    let answer = gateway.access_requests(bearer.into()).list_access_requests(request).await;
    let answer = answer.map_err(|status| Problem::from(status).renaming("state", "status"))?;
    let answer = answer.into_inner();
    let access_requests = answer.access_requests.into_iter().map(AccessRequest::from).collect();
    Ok(Json(AccessRequests { access_requests, next_page_token: answer.next_page_token }))
}

pub(super) fn about() -> Operation {
    Operation::new("List access requests", 200)
        .query([
            Field::id(
                "organisation_id",
                "There and below; left out, wherever the caller may decide.",
            ),
            Field::one_of("status", &STATES, "Only those with this status."),
            Field::flag("overdue", "Only those that have waited longer than they should."),
            Field::flag("no_approvers", "Only those that nobody at the organisation can decide."),
            Field::id("application_id", "Only those for this application."),
            Field::text("order_by", "`created_at` (the default), or with ` desc`."),
        ])
        .query(Field::paging())
        .answers::<AccessRequests>()
        .refuses(403, &["PERMISSION_MISSING"])
        .refuses(404, &["ORGANISATION_NOT_FOUND"])
}
