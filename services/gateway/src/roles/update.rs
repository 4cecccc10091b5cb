use api::organisation::v1::{Role as Changed, UpdateRoleRequest};
use axum::extract::State;
use prost_types::FieldMask;

use super::{Role, shown};
use crate::{
    answer::Answer,
    bearer::Bearer,
    clients::Gateway,
    input::{Change, Id, Object, accept},
    openapi::{Field, Operation},
    problem::Problem,
};

/// `PATCH /api/roles/{id} {"display_name"?, "permissions"?, "invitable"?}` → 200: changes what is
/// there; whoever holds the role has the new permissions at once.
pub(super) async fn update(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Id(id): Id,
    mut change: Change,
    mut body: Object,
) -> Result<Answer<Role>, Problem> {
    let paths = body.changes(&["display_name", "permissions", "invitable"]);
    let role = Changed {
        id,
        display_name: body.text("display_name"),
        permissions: body.texts("permissions"),
        invitable: body.flag("invitable"),
        etag: change.etag(body.text("etag")),
        ..Changed::default()
    };
    accept([std::mem::take(&mut change.fields), body.fields])?;
    let request = UpdateRoleRequest {
        role: Some(role),
        update_mask: Some(FieldMask { paths }),
        request_id: change.request_id.clone(),
    };
    let answer = gateway.roles(bearer.into()).update_role(request).await;
    let answer = answer.map_err(|status| change.refused(status).renaming("role.", ""))?;
    shown(answer.into_inner().role)
}

pub(super) fn about() -> Operation {
    Operation::new("Change a role", 200)
        .repeatable()
        .conditional()
        .body([
            Field::text("display_name", "1 to 200 characters."),
            Field::texts("permissions", "All that the role holds from then on."),
            Field::flag("invitable", "Whether a service account may invite into it."),
            Field::text("etag", "The version that the change is meant for, as `If-Match`."),
        ])
        .answers::<Role>()
        .tagged()
        .refuses(403, &["PERMISSION_MISSING", "GRANT_CEILING_EXCEEDED"])
        .refuses(404, &["ROLE_NOT_FOUND"])
        .refuses(409, &["ROLE_BUILT_IN", "LAST_OWNER", "ORGANISATION_ARCHIVED"])
}
