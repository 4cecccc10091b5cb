use api::organisation::v1::{
    ActorKind, AuditFilter, AuditRecord as Recorded, ListAuditRecordsRequest,
};
use axum::{Json, extract::State};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    bearer::Bearer,
    clients::Gateway,
    input::{Id, Query, accept, word_of},
    openapi::{Field, Operation, words},
    problem::Problem,
    timestamp::{Stamp, stamp_of},
};

/// A page of the history.
#[derive(Serialize, ToSchema)]
pub(super) struct AuditRecords {
    records: Vec<AuditRecord>,
    /// Empty on the last page.
    next_page_token: String,
}

/// One thing that happened, or was refused.
#[derive(Serialize, ToSchema)]
struct AuditRecord {
    id: String,
    /// The place in the chain; `null` for the second in which the record waits for its place.
    sequence: Option<i64>,
    at: Option<Stamp>,
    /// Who; `null` if it was Usher itself, at a time.
    actor_id: Option<String>,
    #[schema(schema_with = actors)]
    actor_kind: &'static str,
    /// For whom a service account says that it acts.
    on_behalf_of_id: Option<String>,
    /// What was done, as `noun.verb`.
    action: String,
    /// Why it was refused; `null` if it was done.
    refusal: Option<String>,
    organisation_id: Option<String>,
    /// To what, such as `membership`.
    target_kind: Option<String>,
    target_id: Option<String>,
    invitation_id: Option<String>,
    access_request_id: Option<String>,
    /// What changed; no personal data.
    details: Vec<String>,
    /// The hash of the record before, in base64.
    previous_hash: String,
    /// This record's hash, in base64.
    hash: String,
}

const ACTORS: [(&str, ActorKind); 3] = [
    ("person", ActorKind::Person),
    ("service_account", ActorKind::ServiceAccount),
    ("usher", ActorKind::Usher),
];

fn actors() -> utoipa::openapi::Object {
    words(&ACTORS)
}

/// `GET /api/organisations/{id}/audit-records` → 200: what happened there and below, newest first.
pub(super) async fn list(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Id(id): Id,
    mut query: Query,
) -> Result<Json<AuditRecords>, Problem> {
    let filter = AuditFilter {
        organisation_id: id,
        actor_id: query.text("actor_id"),
        action: query.text("action"),
        target_id: query.text("target_id"),
        invitation_id: query.text("invitation_id"),
        access_request_id: query.text("access_request_id"),
        from: query.time("from"),
        until: query.time("until"),
        refused: query.flag("refused"),
    };
    let request = ListAuditRecordsRequest {
        filter: Some(filter),
        order_by: query.text("order_by"),
        page_size: query.number("page_size"),
        page_token: query.text("page_token"),
    };
    accept([query.fields])?;
    let answer = gateway.audit(bearer.into()).list_audit_records(request).await;
    let answer = answer.map_err(|status| {
        Problem::from(status).renaming("filter.", "").renaming("organisation_id", "id")
    })?;
    let answer = answer.into_inner();
    let records = answer.records.into_iter().map(AuditRecord::from).collect();
    Ok(Json(AuditRecords { records, next_page_token: answer.next_page_token }))
}

impl From<Recorded> for AuditRecord {
    fn from(record: Recorded) -> Self {
        let given = |text: String| Some(text).filter(|text| !text.is_empty());
        Self {
            actor_kind: word_of(record.actor_kind(), &ACTORS),
            id: record.id,
            sequence: Some(record.sequence).filter(|place| *place > 0),
            at: stamp_of(record.at),
            actor_id: given(record.actor_id),
            on_behalf_of_id: given(record.on_behalf_of_id),
            action: record.action,
            refusal: given(record.refusal),
            organisation_id: given(record.organisation_id),
            target_kind: given(record.target_kind),
            target_id: given(record.target_id),
            invitation_id: given(record.invitation_id),
            access_request_id: given(record.access_request_id),
            details: record.details,
            previous_hash: STANDARD.encode(record.previous_hash),
            hash: STANDARD.encode(record.hash),
        }
    }
}

pub(super) fn about() -> Operation {
    Operation::new("List what happened at an organisation and below it", 200)
        .query([
            Field::id("actor_id", "Only what they did."),
            Field::text("action", "An action, or its noun and a dot, such as `invitations.`."),
            Field::id("target_id", "Only what was done to this."),
            Field::id("invitation_id", "Only what came from this invitation."),
            Field::id("access_request_id", "Only what came from this access request."),
            Field::time("from", "Only from then on."),
            Field::time("until", "Only before."),
            Field::flag("refused", "Only what was refused."),
            Field::text(
                "order_by",
                "`created_at desc` (the default: newest first) or `created_at`.",
            ),
        ])
        .query(Field::paging())
        .answers::<AuditRecords>()
        .refuses(403, &["PERMISSION_MISSING"])
        .refuses(404, &["ORGANISATION_NOT_FOUND"])
}
