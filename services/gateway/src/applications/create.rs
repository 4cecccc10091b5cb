use api::organisation::v1::CreateApplicationRequest;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Application, fields};
use crate::{
    answer::Answer,
    bearer::Bearer,
    clients::Gateway,
    input::{Change, Id, Object, accept},
    openapi::{Field, Operation},
    problem::Problem,
};

/// A new application, with the secret that is answered this once.
#[derive(Serialize, ToSchema)]
pub(super) struct CreatedApplication {
    application: Application,
    /// Signs callbacks, as Standard Webhooks writes it.
    callback_secret: String,
}

/// `POST /api/organisations/{id}/applications {"display_name", …}` → 201: with the secret that signs
/// callbacks, this once.
pub(super) async fn create(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Id(id): Id,
    mut change: Change,
    mut body: Object,
) -> Result<Answer<CreatedApplication>, Problem> {
    change.unconditional();
    let request = CreateApplicationRequest {
        organisation_id: id,
        display_name: body.text("display_name"),
        redirect_urls: body.texts("redirect_urls"),
        callback_hosts: body.texts("callback_hosts"),
        default_role: body.text("default_role"),
        assign_on_invite: body.flag("assign_on_invite"),
        request_id: change.request_id,
    };
    accept([change.fields, body.fields])?;
    let answer = gateway.applications(bearer.into()).create_application(request).await;
    let answer =
        answer.map_err(|status| Problem::from(status).renaming("organisation_id", "id"))?;
    let answer = answer.into_inner();
    let application = Application::from(answer.application.ok_or_else(Problem::internal)?);
    let (path, etag) = (format!("/api/applications/{}", application.id), application.etag.clone());
    let callback_secret = answer.callback_secret;
    Ok(Answer::created(CreatedApplication { application, callback_secret }, path).tagged(&etag))
}

pub(super) fn about() -> Operation {
    Operation::new("Create an application", 201)
        .repeatable()
        .body([Field::text("display_name", "1 to 200 characters.").required()])
        .body(fields())
        .answers::<CreatedApplication>()
        .tagged()
        .refuses(403, &["PERMISSION_MISSING"])
        .refuses(404, &["ORGANISATION_NOT_FOUND"])
        .refuses(409, &["ORGANISATION_ARCHIVED"])
}
