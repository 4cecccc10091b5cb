use api::organisation::v1::ListOrganisationsRequest;
use axum::{Json, extract::State};
use serde::Serialize;

use super::Organisation;
use crate::{
    bearer::Bearer,
    clients::Gateway,
    input::{Query, accept},
    problem::Problem,
};

#[derive(Serialize)]
pub(super) struct Page {
    organisations: Vec<Organisation>,
    /// Empty on the last page.
    next_page_token: String,
}

/// `GET /api/organisations?parent_id=&page_size=&page_token=` → 200: the children of a node, or,
/// without `parent_id`, the organisations that the caller is a member of.
pub(super) async fn list(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    mut query: Query,
) -> Result<Json<Page>, Problem> {
    let request = ListOrganisationsRequest {
        parent_id: query.text("parent_id"),
        page_size: query.number("page_size"),
        page_token: query.text("page_token"),
        ..Default::default()
    };
    accept([query.fields])?;
    let mut organisations = gateway.organisations(bearer.into());
    let answer = organisations.list_organisations(request).await?.into_inner();
    let organisations = answer.organisations.into_iter().map(Organisation::from).collect();
    Ok(Json(Page { organisations, next_page_token: answer.next_page_token }))
}
