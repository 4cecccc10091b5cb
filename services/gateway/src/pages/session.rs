//! Who is signed in at this browser.
//!
//! The cookie holds an access token, which ends by itself after ten minutes: enough to go on from
//! the page that signed somebody in. No script reads it, no other site sends it with a form, and the
//! REST endpoints do not read it at all, so that no request can be forged with it.

use axum::{
    extract::{FromRequestParts, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{COOKIE, LOCATION, SET_COOKIE},
        request::Parts,
    },
    response::{IntoResponse as _, Response},
};
use service::Auth;

use crate::clients::Gateway;

const NAME: &str = "usher_session";

/// The token of a browser's cookie, if it has one.
pub(super) struct Session(pub Option<Auth>);

impl<S: Send + Sync> FromRequestParts<S> for Session {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(token(&parts.headers).map(|token| Auth::Bearer(token.into()))))
    }
}

/// Whoever is signed in; everybody else is led to the sign-in page.
pub(super) struct SignedIn(pub Auth);

impl<S: Send + Sync> FromRequestParts<S> for SignedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let token = token(&parts.headers).ok_or_else(to_sign_in)?;
        Ok(Self(Auth::Bearer(token.into())))
    }
}

/// 303 to the sign-in page.
pub(super) fn to_sign_in() -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, "/sign-in")]).into_response()
}

fn token(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';'));
    let token = pairs.find_map(|pair| pair.trim().strip_prefix(NAME)?.strip_prefix('='))?;
    // What is no token is no session.
    let is_token = token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    (is_token && !token.is_empty()).then_some(token)
}

/// Lets the browser keep the session that an answer has begun.
pub(super) fn keep(gateway: &Gateway, invitee: &Auth, mut answer: Response) -> Response {
    if let Auth::Bearer(token) = invitee {
        set(&mut answer, &format!("{NAME}={token}; Max-Age=600{}", attributes(gateway)));
    }
    answer
}

/// `POST /sign-out`: ends the session at once, here and at the identity service.
pub(super) async fn sign_out(
    State(gateway): State<Gateway>,
    Session(session): Session,
) -> Response {
    if let Some(session) = session {
        super::invitation::sign_out(&gateway, session).await;
    }
    let mut answer = (StatusCode::SEE_OTHER, [(LOCATION, "/")]).into_response();
    set(&mut answer, &format!("{NAME}=; Max-Age=0{}", attributes(&gateway)));
    answer
}

fn attributes(gateway: &Gateway) -> &'static str {
    if gateway.is_https {
        "; Path=/; HttpOnly; SameSite=Lax; Secure"
    } else {
        "; Path=/; HttpOnly; SameSite=Lax"
    }
}

fn set(answer: &mut Response, cookie: &str) {
    if let Ok(mut value) = HeaderValue::from_str(cookie) {
        value.set_sensitive(true);
        answer.headers_mut().append(SET_COOKIE, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_found_among_other_cookies_and_nothing_else_is_taken_for_it() {
        let read = |cookie: &str| {
            let mut headers = HeaderMap::new();
            headers.append(COOKIE, HeaderValue::from_str(cookie).unwrap());
            token(&headers).map(str::to_owned)
        };
        assert_eq!(read("a=b; usher_session=x.y-z_1; c=d").as_deref(), Some("x.y-z_1"));
        for other in
            ["", "usher_session=", "usher_sessions=x", "xusher_session=x", "usher_session=a b"]
        {
            assert_eq!(read(other), None, "{other:?}");
        }
    }
}
