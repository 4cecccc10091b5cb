use api::organisation::v1::{GetAccessRequestRequest, GetAccessRequestResponse};
use kernel::{Fields, parse_id};
use sea_orm::EntityTrait as _;

use crate::{
    Organisations,
    call::Call,
    entity::{access_request, person},
    error::Error,
};

/// One request. For the requester, and for holders of `requests.read` at its organisation.
pub(crate) async fn get(
    service: &Organisations,
    call: &Call,
    request: GetAccessRequestRequest,
) -> Result<GetAccessRequestResponse, Error> {
    let GetAccessRequestRequest { id } = request;
    let mut fields = Fields::default();
    let Some(id) = fields.read("id", parse_id(&id)) else {
        return Err(Error::Invalid(fields));
    };
    let (database, now) = (service.database.read(), service.clock.now());
    let seen = access_request::seen_by(database, id, call, now).await?;
    let found = seen.ok_or(Error::AccessRequestNotFound)?;
    let requester = person::Entity::find_by_id(found.requester_id).one(database).await?;
    Ok(GetAccessRequestResponse { access_request: Some(found.seen_at(requester, now)) })
}
