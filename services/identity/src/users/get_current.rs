use api::identity::v1::GetCurrentUserResponse;
use sea_orm::EntityTrait as _;
use service::Caller;

use crate::{Identity, entity::user, error::Error};

/// The signed-in person. Whoever has a person's token may ask.
pub(crate) async fn get_current(
    identity: &Identity,
    caller: &Caller,
) -> Result<GetCurrentUserResponse, Error> {
    let user = user::Entity::find_by_id(caller.subject).one(identity.database.read()).await?;
    let user = user.filter(|_| caller.is_person()).ok_or(Error::UserNotFound)?;
    Ok(GetCurrentUserResponse { user: Some(user.into()) })
}
