use api::organisation::v1::{
    Organisation, OrganisationChanged, UpdateOrganisationRequest, UpdateOrganisationResponse,
};
use kernel::{DisplayName, Fields, Malformed, fold, parse_id};
use sea_orm::{ExprTrait as _, entity::prelude::*, sea_query::Expr};

use crate::{
    Organisations,
    call::Call,
    change::Record,
    domain::permission::Permission,
    entity::{
        organisation::{self, PLATFORM, etag},
        organisation_word,
    },
    error::Error,
};

/// Renames an organisation: the mask names `display_name`, and a non-empty etag must be the current
/// one (AIP-134, AIP-154).
///
/// Needs `organisations.update` there.
pub(crate) async fn update(
    service: &Organisations,
    call: &Call,
    request: UpdateOrganisationRequest,
) -> Result<UpdateOrganisationResponse, Error> {
    let UpdateOrganisationRequest { organisation, update_mask, request_id: _ } = request;
    let Organisation { id, display_name, etag: expected, .. } = organisation.unwrap_or_default();
    let mut fields = Fields::default();
    let id = fields.read("organisation.id", parse_id(&id));
    let name = fields.read("organisation.display_name", DisplayName::parse(&display_name));
    let mask = update_mask.unwrap_or_default().paths;
    if mask.is_empty() || mask.iter().any(|path| path != "display_name") {
        fields.reject("update_mask", Malformed("display_name, which is all that can be changed"));
    }
    let (Some(id), Some(name), true) = (id, name, fields.violations().is_empty()) else {
        return Err(Error::Invalid(fields));
    };

    let change = service.begin(call).await?;
    let rights = service.rights(call, &*change, id).await?;
    rights.require(Permission::OrganisationsUpdate)?;
    let found = organisation::Entity::find_by_id(id).one(&*change).await?;
    let found = found.filter(|found| found.id != PLATFORM).ok_or(Error::OrganisationNotFound)?;
    if !expected.is_empty() && expected != etag(found.version) {
        return Err(Error::EtagMismatch);
    }
    let mut update = organisation::Entity::update_many()
        .col_expr(organisation::Column::DisplayName, Expr::value(name.as_str()))
        .col_expr(organisation::Column::SearchName, Expr::value(fold(name.as_str()).into_bytes()))
        .col_expr(organisation::Column::UpdatedAt, Expr::value(change.now))
        .col_expr(organisation::Column::Version, Expr::col(organisation::Column::Version).add(1))
        .filter(organisation::Column::Id.eq(id));
    if !expected.is_empty() {
        update = update.filter(organisation::Column::Version.eq(found.version));
    }
    if update.exec(&*change).await?.rows_affected == 0 {
        return Err(Error::EtagMismatch);
    }
    let changed = organisation::Entity::find_by_id(id).one(&*change).await?;
    let changed = changed.ok_or(Error::OrganisationNotFound)?;
    organisation_word::write(&*change, id, &changed.display_name).await?;
    let event = OrganisationChanged { organisation_id: id.to_string() };
    change.announce("organisation.organisation.updated.v1", id, &event).await?;
    change.record(Record::of("organisation", id, id).detail("display_name")).await?;
    let seen = changed.seen_with(&rights);
    change.commit(UpdateOrganisationResponse { organisation: Some(seen) }).await
}
