use axum::{
    Json,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{ETAG, LOCATION},
    },
    response::{IntoResponse, Response},
};
use serde::Serialize;

/// One resource as a response, with the headers that belong to it.
pub(crate) struct Answer<T> {
    status: StatusCode,
    headers: HeaderMap,
    resource: T,
}

impl<T> Answer<T> {
    /// 200, or what a change made of it.
    pub fn of(resource: T) -> Self {
        Self { status: StatusCode::OK, headers: HeaderMap::new(), resource }
    }

    /// 201, at this path from now on.
    pub fn created(resource: T, path: String) -> Self {
        let mut answer = Self { status: StatusCode::CREATED, ..Self::of(resource) };
        if let Ok(path) = HeaderValue::from_str(&path) {
            answer.headers.insert(LOCATION, path);
        }
        answer
    }

    /// Its version, for a later `If-Match`.
    pub fn tagged(mut self, etag: &str) -> Self {
        let quoted = HeaderValue::from_str(&format!("\"{etag}\""));
        if let (false, Ok(tag)) = (etag.is_empty(), quoted) {
            self.headers.insert(ETAG, tag);
        }
        self
    }
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        (self.status, self.headers, Json(self.resource)).into_response()
    }
}
