use api::identity::v1::{GetUserRequest, GetUserResponse};
use kernel::{Fields, parse_id};
use sea_orm::EntityTrait as _;
use service::Caller;

use crate::{Identity, entity::user, error::Error};

/// One user by id. Needs the scope `users.read`.
pub(crate) async fn get(
    identity: &Identity,
    caller: &Caller,
    request: GetUserRequest,
) -> Result<GetUserResponse, Error> {
    let GetUserRequest { id } = request;
    let mut fields = Fields::default();
    let Some(id) = fields.read("id", parse_id(&id)) else {
        return Err(Error::Invalid(fields));
    };
    if !caller.has_scope("users.read") {
        return Err(Error::ScopeMissing("users.read"));
    }
    let user = user::Entity::find_by_id(id).one(identity.database.read()).await?;
    Ok(GetUserResponse { user: Some(user.ok_or(Error::UserNotFound)?.into()) })
}
