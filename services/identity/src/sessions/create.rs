use std::time::Duration;

use api::identity::v1::{CreateSessionRequest, CreateSessionResponse};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use kernel::{EmailAddress, Fields, Malformed};
use sea_orm::entity::prelude::*;
use secrecy::SecretString;

use crate::{
    Identity,
    entity::{session, user},
    error::Error,
};

/// How many sign-ins an account may fail in [`WINDOW`].
const ATTEMPTS: u64 = 10;
/// Short, so that an attacker cannot lock a person out for long.
const WINDOW: Duration = Duration::from_secs(60);

/// Signs in with address and password.
///
/// Unknown address, wrong password and an account that cannot sign in answer alike and take alike.
/// Attempts are counted before the password is looked at, so that parallel guesses count too.
pub(crate) async fn create(
    identity: &Identity,
    request: CreateSessionRequest,
) -> Result<CreateSessionResponse, Error> {
    let CreateSessionRequest { email, password } = request;
    let mut fields = Fields::default();
    let email = fields.read("email", EmailAddress::parse(&email));
    let password = match password.len() {
        1..=1_024 => Ok(SecretString::from(password)),
        _ => Err(Malformed("a password")),
    };
    let password = fields.read("password", password);
    let (Some(email), Some(password)) = (email, password) else {
        return Err(Error::Invalid(fields));
    };
    let attempts = attempts_key(&email);
    match identity.cache.count(&attempts, WINDOW).await {
        Ok(count) if count > ATTEMPTS => {
            return Err(Error::TooManyAttempts { retry_after: WINDOW });
        }
        Ok(_) => {}
        // The hashing permits still bound how fast anybody can guess.
        Err(error) => tracing::warn!(%error, "failed sign-ins are not counted"),
    }

    let user = user::of_email(&email).one(identity.database.read()).await?;
    let user = user.filter(|user| user.status == user::Status::Active);
    let hash = user.as_ref().and_then(|user| user.password_hash.clone());
    let matches = identity.hashing.verify(password, hash).await?;
    let user = user.filter(|_| matches).ok_or(Error::CredentialsInvalid)?;

    let tx = identity.database.begin().await?;
    // Suspended while the password was hashed: no session.
    let still_active = user::Entity::find_by_id(user.id)
        .filter(user::Column::Status.eq(user::Status::Active))
        .one(&*tx)
        .await?;
    let user = still_active.ok_or(Error::CredentialsInvalid)?;
    let session = session::begin(&tx, &identity.clock, user.id).await?;
    tx.commit().await?;
    if let Err(error) = identity.cache.clear(&attempts).await {
        tracing::warn!(%error, "failed sign-ins stay counted");
    }
    let tokens = identity.tokens(&user, &session)?;
    Ok(CreateSessionResponse { tokens: Some(tokens), user: Some(user.into()) })
}

/// Where failed sign-ins are counted; hashed, because an address is personal data.
fn attempts_key(email: &EmailAddress) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, email.as_str().as_bytes());
    format!("usher:sign-ins:{}", URL_SAFE_NO_PAD.encode(digest))
}
