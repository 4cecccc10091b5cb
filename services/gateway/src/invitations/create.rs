use api::organisation::v1::CreateInvitationRequest;
use axum::extract::State;
use serde_json::json;

use super::{View, Viewed, offer};
use crate::{
    answer::Answer,
    bearer::Bearer,
    clients::Gateway,
    input::{Change, Object, Query, accept, the_one_named},
    openapi::{Field, Operation},
    problem::Problem,
};

/// `POST /api/organisation-invitations?organisation_id=… {"organisation_id", "email", "role", …}` →
/// 201: invites an address; one mail goes out. The organisation may be named in the query, in the
/// body, or twice alike.
///
/// Source: `sources/002`, "Creating an Invitation"; `sources/004`, "Invitation requirements".
pub(super) async fn create(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    mut change: Change,
    mut query: Query,
    mut body: Object,
) -> Result<Answer<Viewed>, Problem> {
    change.unconditional();
    let view = View::read(&mut query);
    let seconds = body.number("expires_in");
    let request = CreateInvitationRequest {
        organisation_id: the_one_named("organisation_id", &mut query, &mut body),
        email: body.text("email"),
        display_name: body.text("display_name"),
        roles: offer::roles(&mut body),
        locale: body.text("locale"),
        first_name: body.text("first_name"),
        last_name: body.text("last_name"),
        institution: body.text("institution"),
        application_id: body.text("application_id"),
        personal_message: body.text("personal_message"),
        membership_valid_from: body.time("membership_valid_from"),
        membership_expires_at: body.time("membership_expires_at"),
        life: (seconds != 0).then_some(prost_types::Duration { seconds, nanos: 0 }),
        source_id: body.text("source_id"),
        callback_url: body.text("callback_url"),
        request_id: change.request_id,
    };
    accept([change.fields, query.fields, body.fields])?;

    let names_one_role = request.roles.len() < 2;
    let mut invitations = gateway.invitations(bearer.into());
    let answer = invitations.create_invitation(request).await.map_err(|status| {
        let problem = Problem::from(status).renaming("life", "expires_in");
        if names_one_role { problem.renaming("roles", "role") } else { problem }
    })?;
    let invitation = answer.into_inner().invitation.ok_or_else(Problem::internal)?;
    let path = format!("/api/organisation-invitations/{}", invitation.id);
    let etag = invitation.etag.clone();
    Ok(Answer::created(view.of(invitation), path).tagged(&etag))
}

pub(super) fn about() -> Operation {
    Operation::new("Invite an address into an organisation", 201)
        .repeatable()
        .query([Field::id("organisation_id", "Where; here or in the body."), View::field()])
        .body([
            Field::id("organisation_id", "Where; here or in the query."),
            Field::text("email", "Who.").required(),
            Field::text("display_name", "How the person is addressed; else first and last name."),
            Field::number("expires_in", "Seconds that the link works: one hour to 90 days."),
        ])
        .body(offer::fields())
        .body_example(json!({
            "organisation_id": "2e8ccd2b-f83f-4fe8-b845-c54ab7808715",
            "email": "invitee@example.com",
            "role": "user"
        }))
        .answers::<Viewed>()
        .tagged()
        .refuses(403, &["PERMISSION_MISSING", "GRANT_CEILING_EXCEEDED", "ROLE_NOT_INVITABLE"])
        .refuses(403, &["CALLBACK_NOT_REGISTERED"])
        .refuses(404, &["ORGANISATION_NOT_FOUND", "APPLICATION_NOT_FOUND"])
        .refuses(409, &["INVITATION_PENDING", "ALREADY_MEMBER", "ACCOUNT_EXISTS"])
        .refuses(409, &["ACCOUNT_UNUSABLE", "DOMAIN_NOT_ALLOWED", "ORGANISATION_ARCHIVED"])
        .refuses(409, &["APPLICATION_WITHOUT_REDIRECT"])
        .refuses(429, &["TOO_MANY_INVITATIONS"])
}
