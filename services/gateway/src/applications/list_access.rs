use api::organisation::v1::ListApplicationAccessRequest;
use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::ApplicationAccess;
use crate::{
    bearer::Bearer,
    clients::Gateway,
    input::{Ids, Query, accept},
    openapi::{Field, Operation},
    problem::Problem,
};

/// A page of those who have access.
#[derive(Serialize, ToSchema)]
pub(super) struct ApplicationAccesses {
    access: Vec<ApplicationAccess>,
    /// Empty on the last page.
    next_page_token: String,
}

/// `GET /api/organisations/{id}/applications/{application_id}/access` → 200: who has access as a
/// member of this organisation, in order of joining it.
pub(super) async fn list_access(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Ids((organisation_id, application_id)): Ids<(String, String)>,
    mut query: Query,
) -> Result<Json<ApplicationAccesses>, Problem> {
    let request = ListApplicationAccessRequest {
        application_id,
        organisation_id,
        page_size: query.number("page_size"),
        page_token: query.text("page_token"),
    };
    accept([query.fields])?;
    let answer = gateway.applications(bearer.into()).list_application_access(request).await;
    let answer =
        answer.map_err(|status| Problem::from(status).renaming("organisation_id", "id"))?;
    let answer = answer.into_inner();
    let access = answer.access.into_iter().map(ApplicationAccess::from).collect();
    Ok(Json(ApplicationAccesses { access, next_page_token: answer.next_page_token }))
}

pub(super) fn about() -> Operation {
    Operation::new("List who has access to an application", 200)
        .query(Field::paging())
        .answers::<ApplicationAccesses>()
        .refuses(403, &["PERMISSION_MISSING"])
        .refuses(404, &["ORGANISATION_NOT_FOUND", "APPLICATION_NOT_FOUND"])
}
