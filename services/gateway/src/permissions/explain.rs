use api::organisation::v1::{ExplainPermissionRequest, Grounds as Found, Missing};
use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    bearer::Bearer,
    clients::Gateway,
    input::{Query, accept, word_of},
    openapi::{Field, Operation, words},
    problem::Problem,
};

/// Why a check answers as it does.
#[derive(Serialize, ToSchema)]
pub(super) struct Explanation {
    allowed: bool,
    /// What decided if it is allowed; what came nearest if not; `null` without a membership there or
    /// above.
    grounds: Option<Grounds>,
    /// Why the nearest grounds do not do.
    #[schema(schema_with = missing)]
    missing: &'static str,
}

/// A role that a subject has from a membership.
#[derive(Serialize, ToSchema)]
struct Grounds {
    /// Where the membership is.
    organisation_id: String,
    /// 0: the organisation asked about; else how many tiers above it.
    distance: i32,
    role: String,
}

const MISSING: [(&str, Missing); 8] = [
    ("nothing", Missing::Unspecified),
    ("membership", Missing::Membership),
    ("permission", Missing::Permission),
    ("suspended", Missing::Suspended),
    ("not_yet_valid", Missing::NotYetValid),
    ("expired", Missing::Expired),
    ("archived", Missing::Archived),
    ("below", Missing::Below),
];

fn missing() -> utoipa::openapi::Object {
    words(&MISSING)
}

/// `GET /api/permission-explanation?organisation_id=&permission=&subject_id=` → 200.
pub(super) async fn explain(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    mut query: Query,
) -> Result<Json<Explanation>, Problem> {
    let request = ExplainPermissionRequest {
        subject_id: query.text("subject_id"),
        organisation_id: query.text("organisation_id"),
        permission: query.text("permission"),
    };
    accept([query.fields])?;
    let mut permissions = gateway.permissions(bearer.into());
    let answer = permissions.explain_permission(request).await?.into_inner();
    let missing = word_of(answer.missing(), &MISSING);
    let grounds = answer.grounds.map(Grounds::from);
    Ok(Json(Explanation { allowed: answer.allowed, grounds, missing }))
}

impl From<Found> for Grounds {
    fn from(found: Found) -> Self {
        let Found { organisation_id, distance, role } = found;
        Self { organisation_id, distance, role }
    }
}

pub(super) fn about() -> Operation {
    Operation::new("Explain why somebody may or may not do something", 200)
        .query([
            Field::id("organisation_id", "Where.").required(),
            Field::text("permission", "A permission of the catalogue.").required(),
            Field::id("subject_id", "A user or service account; left out, the caller."),
        ])
        .answers::<Explanation>()
        .refuses(403, &["PERMISSION_MISSING", "SCOPE_MISSING"])
}
