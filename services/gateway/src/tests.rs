//! The gateway as its callers see it: whole routers, with doubles for the services behind them.

mod changes;
mod double;
mod invite;
mod lists;
mod mailbox;
mod openapi;
mod pages;
mod rest;
mod unsubscribe;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, HeaderValue, Request, StatusCode, header::CONTENT_TYPE},
    response::Response,
};
use kernel::Clock;
use serde_json::Value;
use service::{Infra, RawSettings, Role, Settings};
use tower::ServiceExt as _;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Settings of a gateway alone, whose peers are away unless `pairs` say where they are.
pub(crate) fn settings(pairs: &[(&str, &str)]) -> Settings {
    let mut raw = RawSettings::default();
    let ours = [
        ("cache_url", "memory:"),
        ("environment", "development"),
        ("service_secret", SECRET),
        ("identity_url", "http://127.0.0.1:9"),
        ("organisation_url", "http://127.0.0.1:9"),
    ];
    for (name, value) in ours.iter().chain(pairs) {
        raw.set(name, value);
    }
    Settings::parse(&raw, Role::Gateway).unwrap()
}

fn gateway(pairs: &[(&str, &str)]) -> Router {
    let infra = Infra::open(settings(pairs), Clock::System).unwrap();
    crate::build(&infra).unwrap().http.unwrap()
}

/// A response, read to its end.
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 1_000_000).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        Self { status: parts.status, headers: parts.headers, text }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    #[track_caller]
    pub fn is_problem(&self, status: StatusCode, reason: &str) {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["reason"], reason);
        assert_eq!(problem["status"], status.as_u16());
        let kind = format!("urn:usher:problem:{}", reason.to_lowercase().replace('_', "-"));
        assert_eq!(problem["type"], kind);
        assert!(problem["errors"].is_array());
    }

    #[track_caller]
    pub fn is_page(&self, status: StatusCode) {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(self.header("cache-control"), "no-store");
        assert_eq!(self.header("referrer-policy"), "no-referrer");
        assert_eq!(self.header("x-content-type-options"), "nosniff");
        assert_eq!(self.header("x-frame-options"), "DENY");
        assert!(self.text.contains("<html lang=\"en\">"));
        assert!(!self.text.contains("<script"), "{}", self.text);
    }

    #[track_caller]
    pub fn says(&self, what: &str) {
        assert!(self.text.contains(what), "{what:?} is not in {}", self.text);
    }

    #[track_caller]
    pub fn keeps_silent_about(&self, what: &str) {
        assert!(!self.text.contains(what), "{what:?} is in {}", self.text);
    }
}

async fn send(router: &Router, mut request: Request<Body>) -> Answer {
    // As every client does.
    let host = HeaderValue::from_static("127.0.0.1:8080");
    request.headers_mut().entry("host").or_insert(host);
    Answer::of(router.clone().oneshot(request).await.unwrap()).await
}

/// A request with a token that could be one, and a JSON body if there is one.
async fn call(router: &Router, method: &str, path: &str, body: &str) -> Answer {
    let request = Request::builder().method(method).uri(path).header("authorization", "Bearer t");
    let request = request.header(CONTENT_TYPE, "application/json; charset=utf-8");
    send(router, request.body(Body::from(body.to_owned())).unwrap()).await
}

/// What a browser sends.
async fn browse(router: &Router, path: &str) -> Answer {
    let request = Request::get(path).header("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    send(router, request.body(Body::empty()).unwrap()).await
}

/// What a browser sends when a form is submitted.
async fn submit(router: &Router, path: &str, form: &str) -> Answer {
    let request = Request::post(path).header("accept", "text/html,*/*;q=0.8");
    let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    send(router, request.body(Body::from(form.to_owned())).unwrap()).await
}
