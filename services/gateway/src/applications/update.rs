use api::organisation::v1::{Application as Changed, UpdateApplicationRequest};
use axum::extract::State;
use prost_types::FieldMask;

use super::{Application, fields, shown};
use crate::{
    answer::Answer,
    bearer::Bearer,
    clients::Gateway,
    input::{Change, Id, Object, accept},
    openapi::{Field, Operation},
    problem::Problem,
};

const MEMBERS: [&str; 5] =
    ["display_name", "redirect_urls", "callback_hosts", "default_role", "assign_on_invite"];

/// `PATCH /api/applications/{id}` → 200: changes what is there.
pub(super) async fn update(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Id(id): Id,
    mut change: Change,
    mut body: Object,
) -> Result<Answer<Application>, Problem> {
    let paths = body.changes(&MEMBERS);
    let application = Changed {
        id,
        display_name: body.text("display_name"),
        redirect_urls: body.texts("redirect_urls"),
        callback_hosts: body.texts("callback_hosts"),
        default_role: body.text("default_role"),
        assign_on_invite: body.flag("assign_on_invite"),
        etag: change.etag(body.text("etag")),
        ..Changed::default()
    };
    accept([std::mem::take(&mut change.fields), body.fields])?;
    let request = UpdateApplicationRequest {
        application: Some(application),
        update_mask: Some(FieldMask { paths }),
        request_id: change.request_id.clone(),
    };
    let answer = gateway.applications(bearer.into()).update_application(request).await;
    let answer = answer.map_err(|status| change.refused(status).renaming("application.", ""))?;
    shown(answer.into_inner().application)
}

pub(super) fn about() -> Operation {
    Operation::new("Change an application", 200)
        .repeatable()
        .conditional()
        .body([
            Field::text("display_name", "1 to 200 characters."),
            Field::text("etag", "The version that the change is meant for, as `If-Match`."),
        ])
        .body(fields())
        .answers::<Application>()
        .tagged()
        .refuses(403, &["PERMISSION_MISSING"])
        .refuses(404, &["APPLICATION_NOT_FOUND"])
        .refuses(409, &["ORGANISATION_ARCHIVED"])
}
