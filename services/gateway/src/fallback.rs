use axum::http::{Method, StatusCode};

use crate::problem::Problem;

/// What has no route.
pub(crate) async fn unknown_path() -> Problem {
    Problem::path_unknown()
}

/// A route that has other methods; axum adds `Allow` (RFC 9110, section 15.5.6).
pub(crate) async fn wrong_method(method: Method) -> Problem {
    // A method is a caller's word of any length: it is not repeated.
    let detail = match method {
        Method::GET => "This path cannot be read.",
        _ => "This path does not take this method.",
    };
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", detail)
}
