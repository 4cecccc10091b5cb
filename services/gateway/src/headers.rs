//! Headers that every response has, pages and REST alike.

use axum::{
    Router,
    http::{
        HeaderName, HeaderValue,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
            X_FRAME_OPTIONS,
        },
    },
};
use tower_http::set_header::SetResponseHeaderLayer;

/// No script, no image, no frame, nothing from elsewhere: what a name or a template might smuggle
/// in finds nothing to work with.
pub(crate) const POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; \
                                 base-uri 'none'; frame-ancestors 'none'";

/// A handler may have said something of its own, such as how long the key set may be kept.
const HEADERS: [(HeaderName, &str); 5] = [
    // Tokens (RFC 6749, section 5.1) and personal data are in nearly everything.
    (CACHE_CONTROL, "no-store"),
    (CONTENT_SECURITY_POLICY, POLICY),
    // A page's address holds the link's token: nobody else learns it.
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
];

/// Adds them.
pub(crate) fn apply(router: Router) -> Router {
    HEADERS.into_iter().fold(router, |router, (name, value)| {
        let value = HeaderValue::from_static(value);
        router.layer(SetResponseHeaderLayer::if_not_present(name, value))
    })
}
