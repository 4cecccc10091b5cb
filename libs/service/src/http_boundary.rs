//! The boundary of every HTTP request: trace, one measurement and one log line.

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use http::Method;
use opentelemetry::{global, metrics::Histogram};
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::telemetry::{self, label};

/// What [`HttpBoundary::observe`] measures with. Clones share it.
#[derive(Clone)]
pub struct HttpBoundary {
    /// `usher_http_server_duration_seconds{method,route,status}`.
    duration: Histogram<f64>,
}

impl HttpBoundary {
    /// To be made after [`crate::Telemetry::start`], like everything that measures.
    #[allow(clippy::new_without_default, reason = "it registers an instrument: no plain value")]
    pub fn new() -> Self {
        let seconds =
            [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        let meter = global::meter("usher");
        let histogram = meter.f64_histogram("usher_http_server_duration");
        Self { duration: histogram.with_unit("s").with_boundaries(seconds.to_vec()).build() }
    }

    /// An axum middleware, to be the outermost layer.
    ///
    /// Rule: the request goes on with the trace of its `traceparent` (W3C Trace Context) or begins
    /// one. It is named by its method and by the *template* of its route, never by its path: a path
    /// can hold a link's token, and a caller could invent any number of them.
    pub async fn observe(State(boundary): State<Self>, request: Request, next: Next) -> Response {
        let method = name_of(request.method());
        let matched = request.extensions().get::<MatchedPath>();
        let route = matched.map_or("unmatched", MatchedPath::as_str).to_owned();
        let span = tracing::info_span!(
            "http",
            otel.name = format!("{method} {route}"),
            otel.kind = "server",
            http.request.method = method,
            http.route = route,
            http.response.status_code = tracing::field::Empty,
            trace_id = tracing::field::Empty,
        );
        let traceparent = request.headers().get("traceparent");
        telemetry::continue_trace(&span, traceparent.and_then(|value| value.to_str().ok()));
        let begun = Instant::now();

        let response = next.run(request).instrument(span.clone()).await;

        let (status, elapsed) = (response.status().as_u16(), begun.elapsed());
        span.record("http.response.status_code", status);
        span.in_scope(|| tracing::info!(status, elapsed_ms = elapsed.as_millis() as u64, "http"));
        let labels =
            [label("method", method), label("route", route), label("status", i64::from(status))];
        boundary.duration.record(elapsed.as_secs_f64(), &labels);
        response
    }
}

/// A method is a caller's word: only those that exist name a span or a metric.
fn name_of(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use axum::{Router, body::Body, middleware::from_fn_with_state, routing::get};
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tower::ServiceExt as _;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_request_is_named_by_its_route_and_goes_on_with_its_trace() {
        let lines = Lines::default();
        let writer = lines.clone();
        let tracer = SdkTracerProvider::builder().build().tracer("test");
        let subscriber = tracing_subscriber::registry()
            .with(tracing_opentelemetry::layer().with_tracer(tracer))
            .with(
                tracing_subscriber::fmt::layer()
                    .with_ansi(false)
                    .with_writer(move || writer.clone()),
            );
        let _listening = tracing::subscriber::set_default(subscriber);
        let observe = from_fn_with_state(HttpBoundary::new(), HttpBoundary::observe);
        let router = Router::new().route("/links/{token}", get(async || "opened")).layer(observe);
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let request = Request::get("/links/secret?x=secret")
            .header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"));
        router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();

        let lines = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        for told in ["GET", "/links/{token}", "status=200", trace] {
            assert!(lines.contains(told), "{told:?} is not in {lines}");
        }
        assert!(!lines.contains("secret"), "{lines}");
    }
}
