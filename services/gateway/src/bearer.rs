use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header::AUTHORIZATION, request::Parts},
};
use service::Auth;

use crate::problem::Problem;

/// The caller's access token, to go on in the caller's name. It is not verified here: the service
/// that owns the data does that. What cannot be a token is refused without asking anybody.
///
/// Errors: 401 `TOKEN_INVALID` unless there is exactly one `Authorization: Bearer …` (RFC 6750,
/// section 2.1).
pub(crate) struct Bearer(Arc<str>);

/// A token of ours has some 700 bytes.
const LONGEST: usize = 4_096;

impl Bearer {
    fn read(headers: &HeaderMap) -> Option<Self> {
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (given.next(), given.next()) else { return None };
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        let token = token.trim_start_matches(' ');
        let is_token = scheme.eq_ignore_ascii_case("bearer")
            && (1..=LONGEST).contains(&token.len())
            && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b));
        is_token.then(|| Self(token.into()))
    }
}

impl<S: Sync> FromRequestParts<S> for Bearer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::read(&parts.headers).ok_or_else(Problem::token_invalid)
    }
}

impl From<Bearer> for Auth {
    fn from(bearer: Bearer) -> Self {
        Self::Bearer(bearer.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_read(values: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        Bearer::read(&headers).is_some()
    }

    #[test]
    fn only_one_well_formed_bearer_token_is_passed_on() {
        assert!(is_read(&["Bearer abc.DEF-1_2~+/="]));
        assert!(is_read(&["bearer abc"]), "a scheme has no case (RFC 9110, section 11.1)");
        let long = format!("Bearer {}", "a".repeat(LONGEST + 1));
        for bad in ["", "Bearer", "Bearer ", "Basic YTpi", "abc", "Bearer a b", "Bearer a,b", &long]
        {
            assert!(!is_read(&[bad]), "{bad:?}");
        }
        assert!(!is_read(&["Bearer a", "Bearer b"]), "whose would it be?");
        assert!(!is_read(&[]));
    }
}
