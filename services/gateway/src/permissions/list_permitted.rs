use api::organisation::v1::ListPermittedOrganisationsRequest;
use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    bearer::Bearer,
    clients::Gateway,
    input::{Query, accept},
    openapi::{Field, Operation},
    problem::Problem,
};

/// A page of organisations.
#[derive(Serialize, ToSchema)]
pub(super) struct Permitted {
    /// In order of creation.
    organisation_ids: Vec<String>,
    /// Asks for the next page; empty on the last.
    next_page_token: String,
}

/// `GET /api/permitted-organisations?permission=&subject_id=` → 200: where somebody may do something.
pub(super) async fn list_permitted(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    mut query: Query,
) -> Result<Json<Permitted>, Problem> {
    let request = ListPermittedOrganisationsRequest {
        subject_id: query.text("subject_id"),
        permission: query.text("permission"),
        page_size: query.number("page_size"),
        page_token: query.text("page_token"),
    };
    accept([query.fields])?;
    let mut permissions = gateway.permissions(bearer.into());
    let answer = permissions.list_permitted_organisations(request).await?.into_inner();
    let (organisation_ids, next_page_token) = (answer.organisation_ids, answer.next_page_token);
    Ok(Json(Permitted { organisation_ids, next_page_token }))
}

pub(super) fn about() -> Operation {
    Operation::new("List the organisations at which somebody may do something", 200)
        .query([
            Field::text("permission", "A permission of the catalogue.").required(),
            Field::id("subject_id", "A user or service account; left out, the caller."),
        ])
        .query(Field::paging())
        .answers::<Permitted>()
        .refuses(403, &["SCOPE_MISSING"])
}
