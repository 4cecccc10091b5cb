use api::organisation::v1::CreateAccessRequestRequest;
use axum::extract::State;

use super::AccessRequest;
use crate::{
    answer::Answer,
    bearer::Bearer,
    clients::Gateway,
    input::{Change, Object, Query, accept, the_one_named},
    openapi::{Field, Operation},
    problem::Problem,
};

/// `POST /api/access-requests?organisation_id=… {"role"?, "application_id"?, "reason"?}` → 201: asks
/// for a role, or for an application. The organisation may be named in the query, in the body, or
/// twice alike.
pub(super) async fn create(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    mut change: Change,
    mut query: Query,
    mut body: Object,
) -> Result<Answer<AccessRequest>, Problem> {
    change.unconditional();
    let request = CreateAccessRequestRequest {
        organisation_id: the_one_named("organisation_id", &mut query, &mut body),
        role: body.text("role"),
        application_id: body.text("application_id"),
        reason: body.text("reason"),
        request_id: change.request_id,
    };
    accept([change.fields, query.fields, body.fields])?;
    let answer = gateway.access_requests(bearer.into()).create_access_request(request).await?;
    let created = answer.into_inner().access_request.ok_or_else(Problem::internal)?;
    let path = format!("/api/access-requests/{}", created.id);
    Ok(Answer::created(created.into(), path))
}

pub(super) fn about() -> Operation {
    Operation::new("Ask for a role or for an application", 201)
        .repeatable()
        .query([Field::id("organisation_id", "Where; here or in the body.")])
        .body([
            Field::id("organisation_id", "Where; here or in the query."),
            Field::text("role", "A role's key; with an application, its default role if left out."),
            Field::id("application_id", "The application asked for.").nullable(),
            Field::text("reason", "Why; at most 1000 characters."),
        ])
        .answers::<AccessRequest>()
        .refuses(403, &["PERMISSION_MISSING"])
        .refuses(404, &["ORGANISATION_NOT_FOUND", "APPLICATION_NOT_FOUND"])
        .refuses(409, &["ACCESS_REQUEST_PENDING", "ALREADY_GRANTED", "MEMBER_REQUIRED"])
}
