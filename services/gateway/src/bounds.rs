//! What holds for every request: how large, how long, how many, and what becomes of a panic.

use std::{any::Any, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use service::{HttpBoundary, Settings, deadline};
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;

use crate::{headers, pages, problem::Problem};

/// Puts the bounds around the routes. The outermost comes last: every answer, whoever gives it, is
/// measured, has the headers, and is a page where a browser asked for one.
pub(crate) fn apply(router: Router, settings: &Settings) -> Router {
    // A peer takes that many calls at once on our one connection: more would only wait for it.
    let places = Arc::new(Semaphore::new(settings.concurrent_streams as usize));
    let bounded = router
        .layer(DefaultBodyLimit::max(settings.body_bytes))
        .layer(from_fn_with_state(settings.rpc_timeout, in_time))
        .layer(from_fn_with_state(places, shed))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(pages::speak));
    headers::apply(bounded).layer(from_fn_with_state(HttpBoundary::new(), HttpBoundary::observe))
}

/// The deadline travels with every call that the request makes.
async fn in_time(State(time): State<Duration>, request: Request, next: Next) -> Response {
    let answered = deadline::within(time, next.run(request)).await;
    answered.unwrap_or_else(|| Problem::deadline_exceeded().into_response())
}

/// Refuses at once what would otherwise wait in a queue without an end.
async fn shed(State(places): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    match places.try_acquire() {
        Ok(_place) => next.run(request).await,
        Err(_) => Problem::overloaded().into_response(),
    }
}

fn panicked(_: Box<dyn Any + Send>) -> Response {
    // The message is not logged: it could hold what was in the request. The panic hook prints it
    // where the process' operator sees it.
    tracing::error!("a handler panicked");
    Problem::internal().into_response()
}

#[cfg(test)]
mod tests {
    use std::future;

    use axum::{
        body::Body,
        http::{StatusCode, header::ACCEPT},
        routing::get,
    };
    use tower::ServiceExt as _;

    use super::*;
    use crate::tests::{self, Answer};

    fn router() -> Router {
        let settings = tests::settings(&[("concurrent_streams", "1")]);
        let settings = Settings { rpc_timeout: Duration::from_millis(50), ..settings };
        let routes = Router::new()
            .route("/api/panic", get(async || -> &str { panic!("secret") }))
            .route("/api/left", get(async || format!("{:?}", deadline::remaining().is_some())))
            .route("/api/stuck", get(future::pending::<()>));
        apply(routes, &settings)
    }

    async fn get_from(router: Router, path: &str) -> Answer {
        let request = Request::get(path).header(ACCEPT, "text/html").body(Body::empty()).unwrap();
        Answer::of(router.oneshot(request).await.unwrap()).await
    }

    #[tokio::test]
    async fn a_panic_is_answered_without_its_message() {
        let answer = get_from(router(), "/api/panic").await;
        answer.is_problem(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL");
        assert!(!answer.text.contains("secret"));
    }

    #[tokio::test]
    async fn a_request_ends_in_time_and_its_calls_know_the_deadline() {
        let answer = get_from(router(), "/api/stuck").await;
        answer.is_problem(StatusCode::GATEWAY_TIMEOUT, "DEADLINE_EXCEEDED");
        assert_eq!(get_from(router(), "/api/left").await.text, "true");
    }

    #[tokio::test]
    async fn one_request_too_many_is_refused_at_once() {
        let router = router();
        let (stuck, refused) = tokio::join!(
            get_from(router.clone(), "/api/stuck"),
            get_from(router.clone(), "/api/left"),
        );
        stuck.is_problem(StatusCode::GATEWAY_TIMEOUT, "DEADLINE_EXCEEDED");
        refused.is_problem(StatusCode::SERVICE_UNAVAILABLE, "OVERLOADED");
        assert_eq!(refused.header("retry-after"), "1");
        assert_eq!(get_from(router, "/api/left").await.text, "true", "the place is free again");
    }
}
