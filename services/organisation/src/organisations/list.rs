use api::organisation::v1::{ListOrganisationsRequest, ListOrganisationsResponse};
use db::PageRequest;
use kernel::{Fields, Uuid, parse_id};
use sea_orm::{QueryOrder as _, QuerySelect as _, QueryTrait as _, entity::prelude::*};

use crate::{
    Organisations,
    call::Call,
    domain::{permission::Permission, rights::Rights},
    entity::{
        membership,
        organisation::{self, PLATFORM},
    },
    error::Error,
};

/// The children of a node, or, without a node, the organisations that the caller is a member of
/// (for whom reads the platform: all roots). In order of creation.
///
/// Needs `organisations.read` at the node that is named.
pub(crate) async fn list(
    service: &Organisations,
    call: &Call,
    request: ListOrganisationsRequest,
) -> Result<ListOrganisationsResponse, Error> {
    let ListOrganisationsRequest { parent_id, page_size, page_token, .. } = request;
    let mut fields = Fields::default();
    let parent = fields.read_optional("parent_id", &parent_id, parse_id);
    let page = PageRequest::parse(&mut fields, page_size, &page_token);
    let (Some(parent), Some(page)) = (parent, page) else {
        return Err(Error::Invalid(fields));
    };
    let database = service.database.read();
    let rights = service.rights(call, database, parent.unwrap_or(PLATFORM)).await?;
    let (which, seen_with) = match parent {
        Some(PLATFORM) => return Err(Error::OrganisationNotFound),
        Some(parent) => {
            rights.require(Permission::OrganisationsRead)?;
            (children_of(parent), rights.one_tier_down())
        }
        None if rights.allow(Permission::OrganisationsRead) => {
            (children_of(PLATFORM), rights.one_tier_down())
        }
        // Where the caller is a member, nothing above is shown.
        None => (with_member(call.subject), Rights::default()),
    };
    let mut rows = which.order_by_asc(organisation::Column::Id).limit(page.limit());
    if let Some(after) = page.after {
        rows = rows.filter(organisation::Column::Id.gt(after));
    }
    let page = page.cut(rows.all(database).await?, |row| row.id);
    Ok(ListOrganisationsResponse {
        organisations: page.rows.into_iter().map(|row| row.seen_with(&seen_with)).collect(),
        next_page_token: page.next_page_token,
    })
}

fn children_of(parent: Uuid) -> Select<organisation::Entity> {
    organisation::Entity::find().filter(organisation::Column::ParentId.eq(parent))
}

fn with_member(subject: Uuid) -> Select<organisation::Entity> {
    let theirs = membership::Entity::find()
        .select_only()
        .column(membership::Column::OrganisationId)
        .filter(membership::Column::SubjectId.eq(subject))
        .into_query();
    organisation::Entity::find().filter(organisation::Column::Id.in_subquery(theirs))
}
