use axum::{
    Router,
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};

use crate::clients::Gateway;

pub(super) fn routes() -> Router<Gateway> {
    Router::new().route("/assets/usher.css", get(style))
}

/// The one style sheet. It may be kept for an hour: pages and style change together at a release.
async fn style() -> impl IntoResponse {
    let headers =
        [(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "public, max-age=3600")];
    (headers, include_str!("../../assets/usher.css"))
}
