use anyhow::Context as _;
use api::identity::v1::PlatformOwnerCreated;
use sea_orm::{ActiveValue::Set, entity::prelude::*, sea_query::OnConflict};
use secrecy::{ExposeSecret as _, SecretString};
use service::Settings;

use crate::{Identity, domain::password::NewPassword, entity::user};

/// The platform owner as the start found or made them.
pub struct Owner {
    /// Their address.
    pub email: String,
    /// The password, if this start generated it: shown once, stored nowhere.
    pub generated_password: Option<SecretString>,
}

/// Creates the platform owner unless there is one.
///
/// The account's address and password come from the settings; without a password one is generated.
/// Event: `identity.platform_owner.created.v1`, by which the organisation service learns who holds
/// the role `owner` at the platform. Several instances may start together: the database keeps one.
pub(crate) async fn create(identity: &Identity, settings: &Settings) -> anyhow::Result<Owner> {
    let found = user::Entity::find().filter(user::Column::IsPlatformOwner.eq(true));
    if let Some(owner) = found.clone().one(identity.database.read()).await? {
        return Ok(Owner { email: owner.email, generated_password: None });
    }
    let (password, generated) = match &settings.owner_password {
        Some(password) => (password.clone(), None),
        None => {
            let password = generate()?;
            (password.clone(), Some(password))
        }
    };
    if let Err(error) = NewPassword::parse(password.expose_secret()) {
        anyhow::bail!("USHER_OWNER_PASSWORD: {error}");
    }
    let hash = identity.hashing.hash(password).await;
    let hash = hash.map_err(|error| anyhow::anyhow!("the owner's password: {error:?}"))?;

    let (id, now) = (identity.clock.new_id(), identity.clock.now());
    let tx = identity.database.begin().await?;
    let owner = user::ActiveModel {
        id: Set(id),
        email: Set(settings.owner_email.as_str().to_owned()),
        display_name: Set("Platform owner".to_owned()),
        status: Set(user::Status::Active),
        password_hash: Set(Some(hash)),
        is_platform_owner: Set(true),
        created_at: Set(now),
        updated_at: Set(now),
    };
    let only_one = OnConflict::new().do_nothing().to_owned();
    let insert = user::Entity::insert(owner).on_conflict(only_one);
    if insert.exec_without_returning(&*tx).await? == 0 {
        drop(tx);
        let owner = found.one(identity.database.read()).await?;
        let owner = owner.ok_or_else(|| {
            anyhow::anyhow!("USHER_OWNER_EMAIL: there is an account of this address already")
        })?;
        return Ok(Owner { email: owner.email, generated_password: None });
    }
    let event = PlatformOwnerCreated { user_id: id.to_string() };
    service::publish(&tx, &identity.clock, "identity.platform_owner.created.v1", id, &event)
        .await?;
    tx.commit().await?;
    Ok(Owner { email: settings.owner_email.to_string(), generated_password: generated })
}

/// 120 random bits in 20 characters, which a person can still copy by hand.
fn generate() -> anyhow::Result<SecretString> {
    let secret = kernel::random_secret().context("the machine has no random bytes")?;
    Ok(SecretString::from(secret.chars().take(20).collect::<String>()))
}
