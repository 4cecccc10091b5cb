//! Sign-in, refresh and sign-out.

mod create;
mod refresh;
mod revoke;

use api::identity::v1::SessionTokens;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{clients::Gateway, openapi::Routes};

pub(crate) fn routes() -> Routes<Gateway> {
    Routes::new()
        .post("/api/sessions", create::create, create::about())
        .post("/api/sessions/refresh", refresh::refresh, refresh::about())
        .delete("/api/sessions/current", revoke::revoke, revoke::about())
        .tagged("sessions")
}

/// What a sign-in gives, in the words of RFC 6749, section 5.1.
#[derive(Serialize, ToSchema)]
struct Tokens {
    access_token: String,
    token_type: &'static str,
    /// Seconds.
    expires_in: i64,
    refresh_token: String,
}

impl From<SessionTokens> for Tokens {
    fn from(tokens: SessionTokens) -> Self {
        let SessionTokens { access_token, expires_in, refresh_token } = tokens;
        let expires_in = expires_in.map_or(0, |life| life.seconds);
        Self { access_token, token_type: "Bearer", expires_in, refresh_token }
    }
}
