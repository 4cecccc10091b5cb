use api::identity::v1::RevokeCurrentSessionResponse;
use service::{Caller, CallerKind};

use crate::{Identity, entity, error::Error};

/// Signs out: ends the session of the token that makes the call, for refreshes and at once for its
/// access tokens. A person's own session alone.
pub(crate) async fn revoke_current(
    identity: &Identity,
    caller: &Caller,
) -> Result<RevokeCurrentSessionResponse, Error> {
    let CallerKind::Person { session, .. } = caller.kind else {
        return Err(Error::TokenInvalid);
    };
    let tx = identity.database.begin().await?;
    entity::session::end(&tx, session, identity.clock.now()).await?;
    tx.commit().await?;
    identity.mark_revoked(session).await;
    Ok(RevokeCurrentSessionResponse {})
}
