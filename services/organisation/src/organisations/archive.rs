use api::organisation::v1::{
    ArchiveOrganisationRequest, ArchiveOrganisationResponse, OrganisationChanged,
};
use kernel::{Fields, parse_id};
use sea_orm::{ExprTrait as _, entity::prelude::*, sea_query::Expr};

use crate::{
    Organisations,
    call::Call,
    change::Record,
    domain::permission::Permission,
    entity::{
        ancestor,
        organisation::{self, Column, PLATFORM},
    },
    error::Error,
};

/// Closes an organisation and all below it. Archiving twice is once.
///
/// Needs `organisations.archive` there. What is below and open, or closed by what is above, is closed
/// by this organisation from now on; what is below and was archived by itself stays so. Event:
/// `organisation.organisation.archived.v1`, one for the organisation that is named.
pub(crate) async fn archive(
    service: &Organisations,
    call: &Call,
    request: ArchiveOrganisationRequest,
) -> Result<ArchiveOrganisationResponse, Error> {
    let ArchiveOrganisationRequest { id, request_id: _ } = request;
    let mut fields = Fields::default();
    let Some(id) = fields.read("id", parse_id(&id)) else {
        return Err(Error::Invalid(fields));
    };
    if id == PLATFORM {
        return Err(Error::OrganisationNotFound);
    }

    let change = service.begin(call).await?;
    organisation::hold_tree(&change, true).await?;
    let rights = service.rights(call, &*change, id).await?;
    rights.require(Permission::OrganisationsArchive)?;
    let found = organisation::Entity::find_by_id(id).one(&*change).await?;
    let found = found.ok_or(Error::OrganisationNotFound)?;
    if found.archived_by == Some(id) {
        let seen = found.seen_with(&rights);
        return change.commit(ArchiveOrganisationResponse { organisation: Some(seen) }).await;
    }
    let as_it_is = match found.archived_by {
        None => Column::ArchivedBy.is_null(),
        Some(above) => Column::ArchivedBy.eq(above),
    };
    organisation::Entity::update_many()
        .col_expr(Column::ArchivedBy, Expr::value(id))
        .col_expr(Column::UpdatedAt, Expr::value(change.now))
        .col_expr(Column::Version, Expr::col(Column::Version).add(1))
        .filter(Column::Id.in_subquery(ancestor::subtree(id)))
        .filter(as_it_is)
        .exec(&*change)
        .await?;
    let archived = organisation::Entity::find_by_id(id).one(&*change).await?;
    let archived = archived.ok_or(Error::OrganisationNotFound)?;
    let event = OrganisationChanged { organisation_id: id.to_string() };
    change.announce("organisation.organisation.archived.v1", id, &event).await?;
    change.record(Record::of("organisation", id, id)).await?;
    let seen = archived.seen_with(&rights);
    change.commit(ArchiveOrganisationResponse { organisation: Some(seen) }).await
}
