use std::time::Duration;

use api::identity::v1::SessionTokens;
use kernel::{Sealed, Uuid};
use service::{Claims, LIFETIME_SECONDS, revoked_session};

use crate::{
    Identity,
    entity::{session, user},
    error::Error,
};

impl Identity {
    /// The tokens of a session's present generation.
    pub(crate) fn tokens(
        &self,
        user: &user::Model,
        session: &session::Model,
    ) -> Result<SessionTokens, Error> {
        let (email, name) = (user.email.clone(), user.display_name.clone());
        let claims = Claims::person(user.id, session.id, email, name, self.clock.new_id());
        let access_token = self.signer.sign(claims, self.clock.now());
        let sealed = Sealed { id: session.id, generation: session.generation };
        Ok(SessionTokens {
            access_token: access_token.map_err(|error| Error::Internal(error.to_string()))?,
            expires_in: Some(prost_types::Duration { seconds: LIFETIME_SECONDS, nanos: 0 }),
            refresh_token: self.refresh_key.seal(sealed),
        })
    }

    /// Tells every service that a session's access tokens are dead, for as long as they could live.
    pub(crate) async fn mark_revoked(&self, session: Uuid) {
        let life = Duration::from_secs(LIFETIME_SECONDS.unsigned_abs());
        if let Err(error) = self.cache.mark(&revoked_session(session), life).await {
            tracing::warn!(%error, "access tokens of an ended session live on for ten minutes");
        }
    }
}
