use api::identity::v1::{CreateInvitedUserRequest, CreateInvitedUserResponse};
use kernel::{DisplayName, EmailAddress, Fields};
use sea_orm::{ActiveValue::Set, EntityTrait as _, sea_query::OnConflict};
use service::Caller;

use crate::{Identity, entity::user, error::Error};

/// The account of an address, created with status `invited` if there is none. An existing account
/// is answered unchanged. Needs the scope `users.invite`.
pub(crate) async fn create_invited(
    identity: &Identity,
    caller: &Caller,
    request: CreateInvitedUserRequest,
) -> Result<CreateInvitedUserResponse, Error> {
    let CreateInvitedUserRequest { email, display_name, .. } = request;
    let mut fields = Fields::default();
    let email = fields.read("email", EmailAddress::parse(&email));
    let name = fields.read_optional("display_name", &display_name, DisplayName::parse);
    let (Some(email), Some(name)) = (email, name) else {
        return Err(Error::Invalid(fields));
    };
    if !caller.has_scope("users.invite") {
        return Err(Error::ScopeMissing("users.invite"));
    }

    let database = identity.database.read();
    if let Some(user) = user::of_email(&email).one(database).await? {
        return Ok(CreateInvitedUserResponse { user: Some(user.into()) });
    }
    let now = identity.clock.now();
    let user = user::ActiveModel {
        id: Set(identity.clock.new_id()),
        email: Set(email.as_str().to_owned()),
        display_name: Set(name.map(String::from).unwrap_or_default()),
        status: Set(user::Status::Invited),
        password_hash: Set(None),
        is_platform_owner: Set(false),
        created_at: Set(now),
        updated_at: Set(now),
    };
    // Of two that invite the same address at once, one creates; both read what there is.
    let taken = OnConflict::column(user::Column::Email).do_nothing().to_owned();
    user::Entity::insert(user).on_conflict(taken).exec_without_returning(database).await?;
    let user = user::of_email(&email).one(database).await?.ok_or(Error::UserNotFound)?;
    Ok(CreateInvitedUserResponse { user: Some(user.into()) })
}
