//! Invitations, in the shape of `sources/002`.

mod create;
mod get;
mod list;
mod reissue;
mod update;

use api::organisation::v1::InvitationState;
use axum::{
    Json, Router,
    routing::{get, post},
};
use serde::Serialize;

use crate::{clients::Gateway, problem::Problem, timestamp::stamp_of};

pub(crate) fn routes() -> Router<Gateway> {
    Router::new()
        .route("/api/organisation-invitations", post(create::create).get(list::list))
        .route("/api/organisation-invitations/{id}", get(get::get).patch(update::update))
        .route("/api/organisation-invitations/{id}/reissue", post(reissue::reissue))
}

/// The states by their words in the API.
const STATES: [(&str, InvitationState); 5] = [
    ("pending", InvitationState::Pending),
    ("accepted", InvitationState::Accepted),
    ("declined", InvitationState::Declined),
    ("revoked", InvitationState::Revoked),
    ("expired", InvitationState::Expired),
];

/// An offer of roles to an address: exactly the members that `sources/002` shows.
#[derive(Serialize)]
struct Invitation {
    id: String,
    organisation_id: String,
    email: String,
    /// The role; several with a space between, which no role's key has.
    role: String,
    status: &'static str,
    created_at: Option<String>,
    updated_at: Option<String>,
    /// When it was revoked or declined.
    deleted_at: Option<String>,
}

impl From<api::organisation::v1::Invitation> for Invitation {
    fn from(invitation: api::organisation::v1::Invitation) -> Self {
        let state = invitation.state();
        let known = STATES.iter().find(|(_, known)| *known == state);
        Self {
            id: invitation.id,
            organisation_id: invitation.organisation_id,
            email: invitation.email,
            role: invitation.roles.join(" "),
            status: known.map_or("unknown", |(word, _)| word),
            created_at: stamp_of(invitation.created_at),
            updated_at: stamp_of(invitation.updated_at),
            deleted_at: stamp_of(invitation.deleted_at),
        }
    }
}

/// The answer of every endpoint that ends with one invitation.
fn shown(
    invitation: Option<api::organisation::v1::Invitation>,
) -> Result<Json<Invitation>, Problem> {
    Ok(Json(invitation.ok_or_else(Problem::internal)?.into()))
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;

    use super::*;

    #[test]
    fn an_invitation_has_exactly_the_members_of_the_source() {
        let at = Some(Timestamp { seconds: 1_716_912_730, nanos: 831_000_000 });
        let invitation = api::organisation::v1::Invitation {
            id: "4703c390-b36e-433a-95b1-d794b9f59b9c".to_owned(),
            organisation_id: "2e8ccd2b-f83f-4fe8-b845-c54ab7808715".to_owned(),
            email: "invitee@example.com".to_owned(),
            display_name: "Invitee".to_owned(),
            roles: vec!["user".to_owned()],
            state: InvitationState::Pending.into(),
            created_at: at,
            updated_at: at,
            ..Default::default()
        };
        let sample = serde_json::json!({
            "id": "4703c390-b36e-433a-95b1-d794b9f59b9c",
            "organisation_id": "2e8ccd2b-f83f-4fe8-b845-c54ab7808715",
            "email": "invitee@example.com",
            "role": "user",
            "status": "pending",
            "created_at": "2024-05-28T16:12:10.831Z",
            "updated_at": "2024-05-28T16:12:10.831Z",
            "deleted_at": null
        });
        assert_eq!(serde_json::to_value(Invitation::from(invitation)).unwrap(), sample);
    }
}
