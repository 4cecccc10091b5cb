//! Members of organisations.

mod create;
mod get;
mod list;
mod list_own;
mod remove;
mod update;

use api::organisation::v1::{Membership, MembershipState};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    answer::Answer,
    clients::Gateway,
    input::word_of,
    openapi::{Routes, words},
    problem::Problem,
    timestamp::{Stamp, stamp_of},
};

pub(crate) fn routes() -> Routes<Gateway> {
    let (all, one) =
        ("/api/organisations/{id}/members", "/api/organisations/{id}/members/{user_id}");
    Routes::new()
        .post(all, create::create, create::about())
        .get(all, list::list, list::about())
        .get(one, get::get, get::about())
        .patch(one, update::update, update::about())
        .delete(one, remove::remove, remove::about())
        .get("/api/me/memberships", list_own::list_own, list_own::about())
        .tagged("members")
}

/// The states by their words in the API.
const STATES: [(&str, MembershipState); 5] = [
    ("active", MembershipState::Active),
    ("suspended", MembershipState::Suspended),
    ("not_yet_valid", MembershipState::NotYetValid),
    ("expired", MembershipState::Expired),
    ("invited", MembershipState::Invited),
];

fn states() -> utoipa::openapi::Object {
    words(&STATES)
}

/// A user or a service account in an organisation, or somebody invited.
#[derive(Serialize, ToSchema)]
struct Member {
    organisation_id: String,
    user_id: String,
    email: String,
    display_name: String,
    /// Role keys, sorted; of somebody invited those offered.
    roles: Vec<String>,
    #[schema(schema_with = states)]
    status: &'static str,
    /// From when the membership holds.
    valid_from: Option<Stamp>,
    /// From when it no longer holds.
    expires_at: Option<Stamp>,
    /// The invitation that waits, if the status is `invited`.
    invitation_id: Option<String>,
    is_service_account: bool,
    etag: String,
    created_at: Option<Stamp>,
}

impl From<Membership> for Member {
    fn from(membership: Membership) -> Self {
        Self {
            status: word_of(membership.state(), &STATES),
            organisation_id: membership.organisation_id,
            user_id: membership.user_id,
            email: membership.email,
            display_name: membership.display_name,
            roles: membership.roles,
            valid_from: stamp_of(membership.valid_from),
            expires_at: stamp_of(membership.expires_at),
            invitation_id: Some(membership.invitation_id).filter(|id| !id.is_empty()),
            is_service_account: membership.is_service_account,
            etag: membership.etag,
            created_at: stamp_of(membership.created_at),
        }
    }
}

/// A page of members.
#[derive(Serialize, ToSchema)]
struct Members {
    members: Vec<Member>,
    /// Empty on the last page.
    next_page_token: String,
}

/// The user that a path names: `me` is the caller, whom the service knows by leaving them out.
fn named(user_id: String) -> String {
    if user_id == "me" { String::new() } else { user_id }
}

/// The answer of every endpoint that ends with one member.
fn shown(membership: Option<Membership>) -> Result<Answer<Member>, Problem> {
    let member = Member::from(membership.ok_or_else(Problem::internal)?);
    let etag = member.etag.clone();
    Ok(Answer::of(member).tagged(&etag))
}
