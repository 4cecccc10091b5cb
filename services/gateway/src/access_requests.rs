//! Access requests: four eyes on what somebody gets.

mod create;
mod get;
mod list;
mod list_own;
mod update;

use api::organisation::v1::AccessRequestState;
use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    clients::Gateway,
    input::word_of,
    openapi::{Routes, words},
    problem::Problem,
    timestamp::{Stamp, stamp_of},
};

pub(crate) fn routes() -> Routes<Gateway> {
    Routes::new()
        .post("/api/access-requests", create::create, create::about())
        .get("/api/access-requests", list::list, list::about())
        .get("/api/access-requests/{id}", get::get, get::about())
        .patch("/api/access-requests/{id}", update::update, update::about())
        .get("/api/me/access-requests", list_own::list_own, list_own::about())
        .tagged("access requests")
}

/// The states by their words in the API.
const STATES: [(&str, AccessRequestState); 5] = [
    ("pending", AccessRequestState::Pending),
    ("approved", AccessRequestState::Approved),
    ("rejected", AccessRequestState::Rejected),
    ("withdrawn", AccessRequestState::Withdrawn),
    ("expired", AccessRequestState::Expired),
];

fn states() -> utoipa::openapi::Object {
    words(&STATES)
}

/// Somebody asks for a role or for an application.
#[derive(Serialize, ToSchema)]
struct AccessRequest {
    id: String,
    organisation_id: String,
    requester_id: String,
    requester_email: String,
    requester_display_name: String,
    /// The roles asked for: of the organisation, or, with an application, of that.
    roles: Vec<String>,
    application_id: Option<String>,
    /// The invitation whose acceptance waits for this approval.
    invitation_id: Option<String>,
    /// Why, in the requester's words.
    reason: String,
    #[schema(schema_with = states)]
    status: &'static str,
    /// It has waited longer than it should.
    overdue: bool,
    /// Nobody at the organisation or above it could decide: it went to the platform's support.
    no_approvers: bool,
    decided_by_id: Option<String>,
    /// Why, in the decider's words.
    decision_reason: Option<String>,
    created_at: Option<Stamp>,
    due_at: Option<Stamp>,
    expires_at: Option<Stamp>,
    decided_at: Option<Stamp>,
}

impl From<api::organisation::v1::AccessRequest> for AccessRequest {
    fn from(request: api::organisation::v1::AccessRequest) -> Self {
        let given = |text: String| Some(text).filter(|text| !text.is_empty());
        Self {
            status: word_of(request.state(), &STATES),
            id: request.id,
            organisation_id: request.organisation_id,
            requester_id: request.requester_id,
            requester_email: request.requester_email,
            requester_display_name: request.requester_display_name,
            roles: request.roles,
            application_id: given(request.application_id),
            invitation_id: given(request.invitation_id),
            reason: request.reason,
            overdue: request.overdue,
            no_approvers: request.no_approvers,
            decided_by_id: given(request.decided_by_id),
            decision_reason: given(request.decision_reason),
            created_at: stamp_of(request.created_at),
            due_at: stamp_of(request.due_at),
            expires_at: stamp_of(request.expires_at),
            decided_at: stamp_of(request.decided_at),
        }
    }
}

/// A page of access requests.
#[derive(Serialize, ToSchema)]
struct AccessRequests {
    access_requests: Vec<AccessRequest>,
    /// Empty on the last page.
    next_page_token: String,
}

/// The answer of every endpoint that ends with one access request.
fn shown(
    request: Option<api::organisation::v1::AccessRequest>,
) -> Result<Json<AccessRequest>, Problem> {
    Ok(Json(request.ok_or_else(Problem::internal)?.into()))
}
