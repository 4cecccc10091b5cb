use api::organisation::v1::{GetOrganisationRequest, GetOrganisationResponse};
use kernel::{Fields, parse_id};
use sea_orm::EntityTrait as _;

use crate::{
    Organisations,
    call::Call,
    domain::permission::Permission,
    entity::organisation::{self, PLATFORM},
    error::Error,
};

/// One organisation. Needs `organisations.read` there.
pub(crate) async fn get(
    service: &Organisations,
    call: &Call,
    request: GetOrganisationRequest,
) -> Result<GetOrganisationResponse, Error> {
    let GetOrganisationRequest { id } = request;
    let mut fields = Fields::default();
    let Some(id) = fields.read("id", parse_id(&id)) else {
        return Err(Error::Invalid(fields));
    };
    let database = service.database.read();
    let rights = service.rights(call, database, id).await?;
    rights.require(Permission::OrganisationsRead)?;
    let found = organisation::Entity::find_by_id(id).one(database).await?;
    let found = found.filter(|found| found.id != PLATFORM).ok_or(Error::OrganisationNotFound)?;
    Ok(GetOrganisationResponse { organisation: Some(found.seen_with(&rights)) })
}
