use api::organisation::v1::{
    Membership, ResumeMembershipRequest, SuspendMembershipRequest, UpdateMembershipRequest,
};
use axum::extract::State;
use prost_types::FieldMask;
use serde_json::json;
use service::Auth;

use super::{Member, named, shown};
use crate::{
    answer::Answer,
    bearer::Bearer,
    clients::Gateway,
    input::{Change, Ids, Object, accept},
    openapi::{Field, Operation},
    problem::Problem,
};

/// What a status can be changed to: whether the membership is set aside.
const STATUSES: [(&str, bool); 2] = [("active", false), ("suspended", true)];

/// `PATCH /api/organisations/{id}/members/{user_id}` → 200. `{"roles"?, "valid_from"?,
/// "expires_at"?}` changes what is there (`null` takes a limit away), and with an `etag` only if
/// nothing has changed since. `{"status": "suspended" | "active"}` suspends or resumes, and stands
/// alone.
pub(super) async fn update(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Ids((organisation_id, user_id)): Ids<(String, String)>,
    mut change: Change,
    mut body: Object,
) -> Result<Answer<Member>, Problem> {
    let user_id = named(user_id);
    if !body.given(&["status"]).is_empty() {
        return suspend(&gateway, bearer.into(), (organisation_id, user_id), change, body).await;
    }
    let paths = body.changes(&["roles", "valid_from", "expires_at"]);
    let membership = Membership {
        organisation_id,
        user_id,
        roles: body.texts("roles"),
        valid_from: body.time("valid_from"),
        expires_at: body.time("expires_at"),
        etag: change.etag(body.text("etag")),
        ..Membership::default()
    };
    accept([std::mem::take(&mut change.fields), body.fields])?;
    let request = UpdateMembershipRequest {
        membership: Some(membership),
        update_mask: Some(FieldMask { paths }),
        request_id: change.request_id.clone(),
    };
    let answer = gateway.memberships(bearer.into()).update_membership(request).await;
    let answer = answer.map_err(|status| {
        change.refused(status).renaming("membership.", "").renaming("organisation_id", "id")
    })?;
    shown(answer.into_inner().membership)
}

async fn suspend(
    gateway: &Gateway,
    auth: Auth,
    (organisation_id, user_id): (String, String),
    mut change: Change,
    mut body: Object,
) -> Result<Answer<Member>, Problem> {
    change.unconditional();
    body.alone("status", &["roles", "valid_from", "expires_at", "etag"]);
    let suspended = body.one_of("status", &STATUSES);
    accept([change.fields, body.fields])?;
    let request_id = change.request_id;
    let mut memberships = gateway.memberships(auth);
    let answer = if suspended {
        let request = SuspendMembershipRequest { organisation_id, user_id, request_id };
        memberships.suspend_membership(request).await.map(|answer| answer.into_inner().membership)
    } else {
        let request = ResumeMembershipRequest { organisation_id, user_id, request_id };
        memberships.resume_membership(request).await.map(|answer| answer.into_inner().membership)
    };
    shown(answer.map_err(|status| Problem::from(status).renaming("organisation_id", "id"))?)
}

pub(super) fn about() -> Operation {
    Operation::new("Change a member's roles or time, suspend them, or resume them", 200)
        .repeatable()
        .conditional()
        .body([
            Field::texts("roles", "Role keys: all that the member has from then on."),
            Field::time("valid_from", "From when the membership holds.").nullable(),
            Field::time("expires_at", "From when it no longer holds.").nullable(),
            Field::text("etag", "The version that the change is meant for, as `If-Match`."),
            Field::one_of("status", &STATUSES, "Suspends or resumes; without other members."),
        ])
        .body_example(json!({"roles": ["approver", "user"], "expires_at": null}))
        .answers::<Member>()
        .tagged()
        .refuses(403, &["PERMISSION_MISSING", "GRANT_CEILING_EXCEEDED"])
        .refuses(404, &["ORGANISATION_NOT_FOUND", "MEMBERSHIP_NOT_FOUND"])
        .refuses(409, &["LAST_OWNER", "ORGANISATION_ARCHIVED"])
}
