use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, Uri, header::HOST, uri::Authority},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use crate::problem::Problem;

/// Refuses a request that was made by another name than ours.
///
/// The mails hold links that let people in, and nobody signs in to read them. A web page elsewhere
/// whose name is made to point at this machine (DNS rebinding) would reach the mailbox from its
/// owner's browser; such a request names that page's host. Ours are addresses, `localhost` and the
/// configured public name.
pub(crate) async fn own_name(
    State(public_url): State<Arc<str>>,
    request: Request,
    next: Next,
) -> Response {
    if is_own(request.headers(), request.uri(), &public_url) {
        return next.run(request).await;
    }
    let detail = "The mailbox answers to this machine's own names alone.";
    Problem::new(StatusCode::MISDIRECTED_REQUEST, "HOST_UNKNOWN", detail).into_response()
}

fn is_own(headers: &HeaderMap, uri: &Uri, public_url: &str) -> bool {
    let named = headers.get(HOST).and_then(|host| host.to_str().ok());
    // HTTP/2 names the host in the target instead.
    let named = named.or_else(|| uri.authority().map(Authority::as_str));
    let Some(Ok(authority)) = named.map(str::parse::<Authority>) else { return false };
    let host = authority.host().trim_matches(['[', ']']);
    let public = public_url.parse::<Uri>();
    host == "localhost"
        || host.parse::<IpAddr>().is_ok()
        || public.is_ok_and(|public| public.host() == Some(authority.host()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_rebound_name_is_refused() {
        let own = |host: &'static str| {
            let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static(host))]);
            is_own(&headers, &Uri::from_static("/mailbox"), "http://usher.example:8080")
        };
        for ours in ["localhost:8080", "127.0.0.1:8080", "[::1]:8080", "usher.example:8080"] {
            assert!(own(ours), "{ours}");
        }
        for other in ["evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", ""] {
            assert!(!own(other), "{other}");
        }
        assert!(!is_own(&HeaderMap::new(), &Uri::from_static("/mailbox"), "http://usher.example"));
    }
}
