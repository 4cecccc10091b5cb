use std::time::Duration;

use api::identity::v1::{RefreshSessionRequest, RefreshSessionResponse};
use sea_orm::{
    ExprTrait as _, entity::prelude::*,
    sea_query::Expr,
};
use service::{LIFETIME_SECONDS, revoked_session};

use super::create::{IDLE_DAYS, tokens};
use crate::{
    Identity,
    entity::{session, user},
    error::Error,
};

/// Trades a refresh token for new tokens.
///
/// Each token is good once. The second use of one means that somebody holds a copy, and nobody can
/// tell who: the session ends for both. A suspended person's session is not refreshed.
pub(crate) async fn refresh(
    identity: &Identity,
    request: RefreshSessionRequest,
) -> Result<RefreshSessionResponse, Error> {
    let RefreshSessionRequest { refresh_token } = request;
    let sealed = identity.refresh_key.open(&refresh_token).ok_or(Error::RefreshTokenInvalid)?;

    let now = identity.clock.now();
    let tx = identity.database.begin().await?;
    let rotated = session::Entity::update_many()
        .col_expr(session::Column::Generation, Expr::col(session::Column::Generation).add(1))
        .col_expr(session::Column::ExpiresAt, Expr::value(now + kernel::Duration::days(IDLE_DAYS)))
        .filter(session::Column::Id.eq(sealed.id))
        .filter(session::Column::Generation.eq(sealed.generation))
        .filter(session::Column::RevokedAt.is_null())
        .filter(session::Column::ExpiresAt.gt(now))
        .exec(&*tx)
        .await?;
    let session = session::Entity::find_by_id(sealed.id).one(&*tx).await?;
    let session = session.ok_or(Error::RefreshTokenInvalid)?;
    if rotated.rows_affected == 0 {
        if session.generation <= sealed.generation || session.revoked_at.is_some() {
            return Err(Error::RefreshTokenInvalid);
        }
        end(identity, &tx, session.id).await?;
        tx.commit().await?;
        mark_revoked(identity, session.id).await;
        return Err(Error::RefreshTokenReused);
    }
    let user = user::Entity::find_by_id(session.user_id)
        .filter(user::Column::Status.eq(user::Status::Active))
        .one(&*tx)
        .await?
        .ok_or(Error::RefreshTokenInvalid)?;
    tx.commit().await?;
    Ok(RefreshSessionResponse { tokens: Some(tokens(identity, &user, &session)?) })
}

/// Ends a session in the database: no refresh from now on.
pub(super) async fn end(
    identity: &Identity,
    tx: &db::Transaction,
    session: Uuid,
) -> Result<(), Error> {
    session::Entity::update_many()
        .col_expr(session::Column::RevokedAt, Expr::value(identity.clock.now()))
        .filter(session::Column::Id.eq(session))
        .filter(session::Column::RevokedAt.is_null())
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Tells every service that the session's access tokens are dead, for as long as they could live.
pub(super) async fn mark_revoked(identity: &Identity, session: Uuid) {
    let life = Duration::from_secs(LIFETIME_SECONDS.unsigned_abs());
    if let Err(error) = identity.cache.mark(&revoked_session(session), life).await {
        tracing::warn!(%error, "access tokens of an ended session live on for their ten minutes");
    }
}
