use api::organisation::v1::CreateMembershipRequest;
use axum::extract::State;

use super::Member;
use crate::{
    answer::Answer,
    bearer::Bearer,
    clients::Gateway,
    input::{Change, Id, Object, accept},
    openapi::{Field, Operation},
    problem::Problem,
};

/// `POST /api/organisations/{id}/members {"user_id", "roles"?, …}` → 201: adds a user or a service
/// account that exists, without an invitation.
pub(super) async fn create(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Id(id): Id,
    mut change: Change,
    mut body: Object,
) -> Result<Answer<Member>, Problem> {
    change.unconditional();
    let request = CreateMembershipRequest {
        organisation_id: id,
        user_id: body.text("user_id"),
        roles: body.texts("roles"),
        valid_from: body.time("valid_from"),
        expires_at: body.time("expires_at"),
        request_id: change.request_id,
        is_service_account: body.flag("is_service_account"),
    };
    accept([change.fields, body.fields])?;
    let mut memberships = gateway.memberships(bearer.into());
    let answer = memberships.create_membership(request).await;
    let answer =
        answer.map_err(|status| Problem::from(status).renaming("organisation_id", "id"))?;
    let membership = answer.into_inner().membership.ok_or_else(Problem::internal)?;
    let member = Member::from(membership);
    let path = format!("/api/organisations/{}/members/{}", member.organisation_id, member.user_id);
    let etag = member.etag.clone();
    Ok(Answer::created(member, path).tagged(&etag))
}

pub(super) fn about() -> Operation {
    Operation::new("Add a member who has an account", 201)
        .repeatable()
        .body([
            Field::id("user_id", "A user or a service account.").required(),
            Field::texts("roles", "Role keys; none means the organisation's default role."),
            Field::time("valid_from", "From when the membership holds.").nullable(),
            Field::time("expires_at", "From when it no longer holds.").nullable(),
            Field::flag("is_service_account", "Whether `user_id` names a service account."),
        ])
        .answers::<Member>()
        .tagged()
        .refuses(403, &["PERMISSION_MISSING", "GRANT_CEILING_EXCEEDED"])
        .refuses(404, &["ORGANISATION_NOT_FOUND", "USER_NOT_FOUND"])
        .refuses(409, &["ALREADY_MEMBER", "ACCOUNT_UNUSABLE", "ORGANISATION_ARCHIVED"])
}
