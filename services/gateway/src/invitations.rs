//! Invitations, in the shape of `sources/002`. Its eight members are what a strict client sees; all
//! that Usher knows beside them comes with `view=full`.

mod create;
mod full;
mod get;
mod list;
mod list_own;
mod offer;
mod reissue;
mod update;

use std::borrow::Cow;

use api::organisation::v1::{InvitationDeliveryState, InvitationState};
use serde::Serialize;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Ref, RefOr,
        schema::{AnyOfBuilder, Schema},
    },
};

use crate::{
    answer::Answer,
    clients::Gateway,
    input::{Query, word_of},
    openapi::{Field, Routes, words},
    problem::Problem,
    timestamp::{Stamp, stamp_of},
};

pub(crate) fn routes() -> Routes<Gateway> {
    let (all, one) = ("/api/organisation-invitations", "/api/organisation-invitations/{id}");
    let reissue = "/api/organisation-invitations/{id}/reissue";
    Routes::new()
        .post(all, create::create, create::about())
        .get(all, list::list, list::about())
        .get(one, get::get, get::about())
        .patch(one, update::update, update::about())
        .post(reissue, reissue::reissue, reissue::about())
        .get("/api/me/invitations", list_own::list_own, list_own::about())
        .tagged("invitations")
}

/// The states by their words in the API.
const STATES: [(&str, InvitationState); 5] = [
    ("pending", InvitationState::Pending),
    ("accepted", InvitationState::Accepted),
    ("declined", InvitationState::Declined),
    ("revoked", InvitationState::Revoked),
    ("expired", InvitationState::Expired),
];

/// How its mail fares, by the words in the API.
const DELIVERY_STATES: [(&str, InvitationDeliveryState); 5] = [
    ("queued", InvitationDeliveryState::Queued),
    ("sent", InvitationDeliveryState::Sent),
    ("failed", InvitationDeliveryState::Failed),
    ("bounced", InvitationDeliveryState::Bounced),
    ("suppressed", InvitationDeliveryState::Suppressed),
];

fn states() -> utoipa::openapi::Object {
    words(&STATES)
}

/// An offer of roles to an address: exactly the members that `sources/002` shows.
#[derive(Serialize, ToSchema)]
struct Invitation {
    id: String,
    organisation_id: String,
    email: String,
    /// The role; several with a space between, which no role's key has.
    role: String,
    #[schema(schema_with = states)]
    status: &'static str,
    created_at: Option<Stamp>,
    updated_at: Option<Stamp>,
    /// When it was revoked or declined.
    deleted_at: Option<Stamp>,
}

impl From<&api::organisation::v1::Invitation> for Invitation {
    fn from(invitation: &api::organisation::v1::Invitation) -> Self {
        Self {
            id: invitation.id.clone(),
            organisation_id: invitation.organisation_id.clone(),
            email: invitation.email.clone(),
            role: invitation.roles.join(" "),
            status: word_of(invitation.state(), &STATES),
            created_at: stamp_of(invitation.created_at),
            updated_at: stamp_of(invitation.updated_at),
            deleted_at: stamp_of(invitation.deleted_at),
        }
    }
}

/// How much of an invitation is answered.
#[derive(Clone, Copy, Default)]
enum View {
    #[default]
    Basic,
    Full,
}

const VIEWS: [(&str, View); 2] = [("basic", View::Basic), ("full", View::Full)];

impl View {
    fn read(query: &mut Query) -> Self {
        query.one_of("view", &VIEWS)
    }

    fn field() -> Field {
        let about = "`basic` (the default) has the members of the source, `full` has all.";
        Field::one_of("view", &VIEWS, about)
    }

    fn of(self, invitation: api::organisation::v1::Invitation) -> Viewed {
        match self {
            Self::Basic => Viewed::Basic(Invitation::from(&invitation)),
            Self::Full => Viewed::Full(Box::new(invitation.into())),
        }
    }
}

/// An invitation, as much of it as was asked for.
#[derive(Serialize)]
#[serde(untagged)]
enum Viewed {
    Basic(Invitation),
    Full(Box<full::FullInvitation>),
}

/// Not `oneOf`, as a derived schema would have it: all of an invitation is a basic one as well.
impl PartialSchema for Viewed {
    fn schema() -> RefOr<Schema> {
        let views = [Invitation::name(), full::FullInvitation::name()];
        let views = views.into_iter().map(Ref::from_schema_name);
        views.fold(AnyOfBuilder::new(), |choice, view| choice.item(view)).into()
    }
}

impl ToSchema for Viewed {
    fn name() -> Cow<'static, str> {
        "InvitationView".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Invitation::name().into_owned(), Invitation::schema()));
        schemas.push((full::FullInvitation::name().into_owned(), full::FullInvitation::schema()));
        full::FullInvitation::schemas(schemas);
    }
}

/// The answer of every endpoint that ends with one invitation.
fn shown(
    invitation: Option<api::organisation::v1::Invitation>,
    view: View,
) -> Result<Answer<Viewed>, Problem> {
    let invitation = invitation.ok_or_else(Problem::internal)?;
    let etag = invitation.etag.clone();
    Ok(Answer::of(view.of(invitation)).tagged(&etag))
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
        assert_eq!(serde_json::to_value(Invitation::from(&invitation)).unwrap(), sample);
    }
}
