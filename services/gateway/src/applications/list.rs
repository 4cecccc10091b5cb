use api::organisation::v1::ListApplicationsRequest;
use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::Application;
use crate::{
    bearer::Bearer,
    clients::Gateway,
    input::{Id, Query, accept},
    openapi::{Field, Operation},
    problem::Problem,
};

/// A page of applications.
#[derive(Serialize, ToSchema)]
pub(super) struct Applications {
    applications: Vec<Application>,
    /// Empty on the last page.
    next_page_token: String,
}

/// `GET /api/organisations/{id}/applications` → 200: those that the organisation can use, its own
/// and those of organisations above it.
pub(super) async fn list(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    Id(id): Id,
    mut query: Query,
) -> Result<Json<Applications>, Problem> {
    let request = ListApplicationsRequest {
        organisation_id: id,
        page_size: query.number("page_size"),
        page_token: query.text("page_token"),
    };
    accept([query.fields])?;
    let answer = gateway.applications(bearer.into()).list_applications(request).await;
    let answer =
        answer.map_err(|status| Problem::from(status).renaming("organisation_id", "id"))?;
    let answer = answer.into_inner();
    let applications = answer.applications.into_iter().map(Application::from).collect();
    Ok(Json(Applications { applications, next_page_token: answer.next_page_token }))
}

pub(super) fn about() -> Operation {
    Operation::new("List the applications that an organisation can use", 200)
        .query(Field::paging())
        .answers::<Applications>()
        .refuses(404, &["ORGANISATION_NOT_FOUND"])
}
