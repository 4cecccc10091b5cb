use api::identity::v1::{RefreshSessionRequest, RefreshSessionResponse};
use sea_orm::{ExprTrait as _, entity::prelude::*, sea_query::Expr};

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
        .col_expr(session::Column::ExpiresAt, Expr::value(now + session::IDLE))
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
        session::end(&tx, session.id, now).await?;
        tx.commit().await?;
        identity.mark_revoked(session.id).await;
        return Err(Error::RefreshTokenReused);
    }
    let user = user::Entity::find_by_id(session.user_id)
        .filter(user::Column::Status.eq(user::Status::Active))
        .one(&*tx)
        .await?
        .ok_or(Error::RefreshTokenInvalid)?;
    tx.commit().await?;
    Ok(RefreshSessionResponse { tokens: Some(identity.tokens(&user, &session)?) })
}
