use api::organisation::v1::{Organisation, UpdateOrganisationRequest, UpdateOrganisationResponse};
use kernel::{DisplayName, Fields, Malformed, parse_id};
use sea_orm::{ExprTrait as _, entity::prelude::*, sea_query::Expr};
use service::Caller;

use crate::{
    Organisations,
    domain::permission::Permission,
    entity::{
        membership,
        organisation::{self, PLATFORM, etag},
    },
    error::Error,
};

/// Renames an organisation: the mask names `display_name`, and a non-empty etag must be the current
/// one (AIP-134, AIP-154).
///
/// Needs `organisations.update` there.
pub(crate) async fn update(
    service: &Organisations,
    caller: &Caller,
    request: UpdateOrganisationRequest,
) -> Result<UpdateOrganisationResponse, Error> {
    let UpdateOrganisationRequest { organisation, update_mask, .. } = request;
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

    let tx = service.database.begin().await?;
    let rights = membership::rights(&*tx, caller.subject, id).await?;
    rights.require(Permission::OrganisationsUpdate)?;
    let found = organisation::Entity::find_by_id(id).one(&*tx).await?;
    let found = found.filter(|found| found.id != PLATFORM).ok_or(Error::OrganisationNotFound)?;
    if !expected.is_empty() && expected != etag(found.version) {
        return Err(Error::EtagMismatch);
    }
    let now = service.clock.now();
    let mut change = organisation::Entity::update_many()
        .col_expr(organisation::Column::DisplayName, Expr::value(name.as_str()))
        .col_expr(organisation::Column::UpdatedAt, Expr::value(now))
        .col_expr(organisation::Column::Version, Expr::col(organisation::Column::Version).add(1))
        .filter(organisation::Column::Id.eq(id));
    if !expected.is_empty() {
        change = change.filter(organisation::Column::Version.eq(found.version));
    }
    if change.exec(&*tx).await?.rows_affected == 0 {
        return Err(Error::EtagMismatch);
    }
    let changed = organisation::Entity::find_by_id(id).one(&*tx).await?;
    let changed = changed.ok_or(Error::OrganisationNotFound)?;
    tx.commit().await?;
    Ok(UpdateOrganisationResponse { organisation: Some(changed.seen_with(&rights)) })
}
