use api::organisation::v1::ListOrganisationsRequest;
use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::Organisation;
use crate::{
    bearer::Bearer,
    clients::Gateway,
    input::{Query, accept},
    openapi::{Field, Operation},
    problem::Problem,
};

/// A page of organisations.
#[derive(Serialize, ToSchema)]
pub(super) struct Organisations {
    organisations: Vec<Organisation>,
    /// Empty on the last page.
    next_page_token: String,
}

/// `GET /api/organisations?parent_id=&recursive=&query=&order_by=&show_archived=` → 200: the
/// children of a node, or, without `parent_id`, the organisations that the caller is a member of.
pub(super) async fn list(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    mut query: Query,
) -> Result<Json<Organisations>, Problem> {
    let request = ListOrganisationsRequest {
        parent_id: query.text("parent_id"),
        page_size: query.number("page_size"),
        page_token: query.text("page_token"),
        recursive: query.flag("recursive"),
        query: query.text("query"),
        order_by: query.text("order_by"),
        show_archived: query.flag("show_archived"),
    };
    accept([query.fields])?;
    let mut organisations = gateway.organisations(bearer.into());
    let answer = organisations.list_organisations(request).await?.into_inner();
    let organisations = answer.organisations.into_iter().map(Organisation::from).collect();
    Ok(Json(Organisations { organisations, next_page_token: answer.next_page_token }))
}

pub(super) fn about() -> Operation {
    Operation::new("List organisations", 200)
        .query([
            Field::id(
                "parent_id",
                "Those below this one; without it, those that the caller is a member of.",
            ),
            Field::flag(
                "recursive",
                "The whole subtree instead of the children; without `parent_id`, all that the \
                 caller sees.",
            ),
            Field::text("query", "Words: each must begin a word of the name."),
            Field::text(
                "order_by",
                "`created_at` (the default) or `display_name`, or with ` desc`.",
            ),
            Field::flag("show_archived", "Archived ones too, as far as the caller sees them."),
        ])
        .query(Field::paging())
        .answers::<Organisations>()
        .refuses(403, &["PERMISSION_MISSING"])
        .refuses(404, &["ORGANISATION_NOT_FOUND"])
}
