use api::organisation::v1::{BatchCheckPermissionsRequest, CheckPermissionRequest};
use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    bearer::Bearer,
    clients::Gateway,
    input::{Object, accept},
    openapi::{Field, Operation},
    problem::Problem,
};

/// The answers, in the order of the questions.
#[derive(Serialize, ToSchema)]
pub(super) struct Checked {
    allowed: Vec<bool>,
}

/// `POST /api/permission-checks {"checks": [{"organisation_id", "permission", "subject_id"?}]}` →
/// 200: up to 100 answers, in the order of the questions. It changes nothing.
pub(super) async fn check(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    mut body: Object,
) -> Result<Json<Checked>, Problem> {
    let checks = body.objects("checks", |check| CheckPermissionRequest {
        subject_id: check.text("subject_id"),
        organisation_id: check.text("organisation_id"),
        permission: check.text("permission"),
    });
    accept([body.fields])?;
    let request = BatchCheckPermissionsRequest { checks };
    let mut permissions = gateway.permissions(bearer.into());
    let answer = permissions.batch_check_permissions(request).await?.into_inner();
    Ok(Json(Checked { allowed: answer.allowed }))
}

pub(super) fn about() -> Operation {
    let check = vec![
        Field::id("subject_id", "A user or service account; left out, the caller."),
        Field::id("organisation_id", "Where.").required(),
        Field::text("permission", "A permission of the catalogue.").required(),
    ];
    Operation::new("Check what somebody may do", 200)
        .body([Field::objects("checks", check, "1 to 100 questions.").required()])
        .answers::<Checked>()
        .refuses(403, &["PERMISSION_MISSING", "SCOPE_MISSING"])
}
