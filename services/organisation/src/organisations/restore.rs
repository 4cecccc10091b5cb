use api::organisation::v1::{
    OrganisationChanged, RestoreOrganisationRequest, RestoreOrganisationResponse,
};
use kernel::{Fields, Uuid, parse_id};
use sea_orm::{ExprTrait as _, entity::prelude::*, sea_query::Expr};

use crate::{
    Organisations,
    call::Call,
    change::Record,
    domain::{permission::Permission, rights::Denied},
    entity::{
        ancestor,
        organisation::{self, Column, PLATFORM},
    },
    error::Error,
};

/// Opens an archived organisation again, with all below it that it closed. Restoring what is open
/// changes nothing.
///
/// Needs `organisations.archive` there. Refused while an organisation above it is archived. Event:
/// `organisation.organisation.restored.v1`.
pub(crate) async fn restore(
    service: &Organisations,
    call: &Call,
    request: RestoreOrganisationRequest,
) -> Result<RestoreOrganisationResponse, Error> {
    let RestoreOrganisationRequest { id, request_id: _ } = request;
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
    let mut chain = organisation::chain(&*change, id).await?.into_iter();
    let found = chain.next().ok_or(Error::OrganisationNotFound)?;
    if chain.any(|above| above.archived_by.is_some()) {
        return Err(Denied::Archived.into());
    }
    if found.archived_by.is_none() {
        let seen = found.seen_with(&rights);
        return change.commit(RestoreOrganisationResponse { organisation: Some(seen) }).await;
    }
    organisation::Entity::update_many()
        .col_expr(Column::ArchivedBy, Expr::value(None::<Uuid>))
        .col_expr(Column::UpdatedAt, Expr::value(change.now))
        .col_expr(Column::Version, Expr::col(Column::Version).add(1))
        .filter(Column::Id.in_subquery(ancestor::subtree(id)))
        .filter(Column::ArchivedBy.eq(id))
        .exec(&*change)
        .await?;
    let restored = organisation::Entity::find_by_id(id).one(&*change).await?;
    let restored = restored.ok_or(Error::OrganisationNotFound)?;
    let event = OrganisationChanged { organisation_id: id.to_string() };
    change.announce("organisation.organisation.restored.v1", id, &event).await?;
    change.record(Record::of("organisation", id, id)).await?;
    // What the caller holds counts in full again.
    let rights = service.rights(call, &*change, id).await?;
    let seen = restored.seen_with(&rights);
    change.commit(RestoreOrganisationResponse { organisation: Some(seen) }).await
}
