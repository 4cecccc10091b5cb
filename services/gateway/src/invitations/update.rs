use api::organisation::v1::{
    AcceptInvitationRequest, DeclineInvitationRequest, Invitation as Changed,
    RevokeInvitationRequest, UpdateInvitationRequest,
};
use axum::extract::State;
use prost_types::FieldMask;
use serde_json::json;
use service::Auth;

use super::{View, Viewed, offer, shown};
use crate::{
    answer::Answer,
    bearer::Bearer,
    clients::Gateway,
    input::{Change, Id, Object, Query, accept},
    openapi::{Field, Operation},
    problem::Problem,
};

#[derive(Clone, Copy)]
enum Outcome {
    Accept,
    Decline,
    Revoke,
}

const OUTCOMES: [(&str, Option<Outcome>); 3] = [
    ("accepted", Some(Outcome::Accept)),
    ("declined", Some(Outcome::Decline)),
    ("revoked", Some(Outcome::Revoke)),
];

const MEMBERS: [&str; 14] = [
    "status",
    "role",
    "roles",
    "first_name",
    "last_name",
    "institution",
    "application_id",
    "locale",
    "personal_message",
    "membership_valid_from",
    "membership_expires_at",
    "expires_at",
    "source_id",
    "callback_url",
];

/// `PATCH /api/organisation-invitations/{id}` → 200. `{"status": "accepted" | "declined" |
/// "revoked"}`: the invitee takes the offer or says no, or somebody entitled takes it back; it
/// stands alone. Anything else changes a pending invitation (`null` takes away what was there), and
/// with an `etag` only if nothing has changed since.
///
/// Source: `sources/002`, "User Accepts Invitation".
pub(super) async fn update(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Id(id): Id,
    mut change: Change,
    mut query: Query,
    mut body: Object,
) -> Result<Answer<Viewed>, Problem> {
    let view = View::read(&mut query);
    if !body.given(&["status"]).is_empty() {
        return settle(&gateway, bearer.into(), id, change, (view, query, body)).await;
    }
    let mut paths = body.changes(&MEMBERS);
    for path in &mut paths {
        if path == "role" {
            "roles".clone_into(path);
        }
    }
    let changed = Changed {
        id,
        roles: offer::roles(&mut body),
        first_name: body.text("first_name"),
        last_name: body.text("last_name"),
        institution: body.text("institution"),
        application_id: body.text("application_id"),
        locale: body.text("locale"),
        personal_message: body.text("personal_message"),
        membership_valid_from: body.time("membership_valid_from"),
        membership_expires_at: body.time("membership_expires_at"),
        expires_at: body.time("expires_at"),
        source_id: body.text("source_id"),
        callback_url: body.text("callback_url"),
        etag: change.etag(body.text("etag")),
        ..Changed::default()
    };
    accept([std::mem::take(&mut change.fields), query.fields, body.fields])?;
    let request = UpdateInvitationRequest {
        invitation: Some(changed),
        update_mask: Some(FieldMask { paths }),
        request_id: change.request_id.clone(),
    };
    let answer = gateway.invitations(bearer.into()).update_invitation(request).await;
    let answer = answer.map_err(|status| change.refused(status).renaming("invitation.", ""))?;
    shown(answer.into_inner().invitation, view)
}

async fn settle(
    gateway: &Gateway,
    auth: Auth,
    id: String,
    mut change: Change,
    (view, query, mut body): (View, Query, Object),
) -> Result<Answer<Viewed>, Problem> {
    change.unconditional();
    body.alone("status", &MEMBERS[1..]);
    let outcome = body.one_of("status", &OUTCOMES);
    accept([change.fields, query.fields, body.fields])?;
    let request_id = change.request_id;
    let mut invitations = gateway.invitations(auth);
    let invitation = match outcome.ok_or_else(Problem::internal)? {
        Outcome::Accept => {
            let request = AcceptInvitationRequest { id, request_id };
            invitations.accept_invitation(request).await?.into_inner().invitation
        }
        Outcome::Decline => {
            let request = DeclineInvitationRequest { id, request_id };
            invitations.decline_invitation(request).await?.into_inner().invitation
        }
        Outcome::Revoke => {
            let request = RevokeInvitationRequest { id, request_id };
            invitations.revoke_invitation(request).await?.into_inner().invitation
        }
    };
    shown(invitation, view)
}

pub(super) fn about() -> Operation {
    Operation::new("Accept, decline, revoke or change an invitation", 200)
        .repeatable()
        .conditional()
        .query([View::field()])
        .body([
            Field::one_of("status", &OUTCOMES, "What becomes of it; without other members."),
            Field::time("expires_at", "Until when the link works."),
            Field::text("etag", "The version that the change is meant for, as `If-Match`."),
        ])
        .body(offer::fields())
        .body_example(json!({"status": "accepted"}))
        .answers::<Viewed>()
        .tagged()
        .refuses(403, &["PERMISSION_MISSING", "INVITEE_REQUIRED", "GRANT_CEILING_EXCEEDED"])
        .refuses(403, &["ROLE_NOT_INVITABLE", "CALLBACK_NOT_REGISTERED"])
        .refuses(404, &["INVITATION_NOT_FOUND", "APPLICATION_NOT_FOUND"])
        .refuses(409, &["INVITATION_ACCEPTED", "INVITATION_REVOKED", "INVITATION_EXPIRED"])
        .refuses(409, &["INVITATION_DECLINED", "INVITER_LOST_RIGHT", "ORGANISATION_ARCHIVED"])
        .refuses(409, &["DOMAIN_NOT_ALLOWED", "APPLICATION_WITHOUT_REDIRECT"])
}
