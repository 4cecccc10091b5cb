//! The boundary of every RPC: trace, deadline, verified caller, one measurement and one log line.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, header::AUTHORIZATION};
use tokio::time::Instant;
use tonic::{Code, Status};
use tracing::Instrument as _;

use crate::{
    Caller, CallerKind, Infra, deadline, infra,
    telemetry::{self, Instruments, label},
};

pub(crate) struct Boundary {
    pub infra: Infra,
    /// The RPCs that need no token, as `/package.Service/Method`.
    pub public: &'static [&'static str],
    pub instruments: Instruments,
}

pub(crate) async fn guard(
    State(boundary): State<Arc<Boundary>>,
    request: Request,
    next: Next,
) -> Response {
    // A path is a caller's word: it names a span or a metric only if it has the form of a method.
    let path = request.uri().path().to_owned();
    let method = path.strip_prefix("/usher.").filter(|_| path.len() < 128).unwrap_or("other");
    let span = tracing::info_span!(
        "rpc",
        otel.name = method,
        otel.kind = "server",
        rpc.method = method,
        rpc.code = tracing::field::Empty,
        trace_id = tracing::field::Empty,
    );
    telemetry::continue_trace(&span, header(request.headers(), "traceparent"));
    let begun = Instant::now();
    let limit = boundary.infra.settings.rpc_timeout;
    let asked = header(request.headers(), "grpc-timeout").and_then(deadline::parse_header);
    let time = asked.map_or(limit, |asked| asked.min(limit));

    let response = async {
        match deadline::within(time, boundary.pass(&path, request, next)).await {
            Some(response) => response,
            None => refuse(Status::deadline_exceeded("the call took longer than its deadline")),
        }
    }
    .instrument(span.clone())
    .await;

    let code = header(response.headers(), "grpc-status")
        .map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()));
    let elapsed = begun.elapsed();
    span.record("rpc.code", tracing::field::debug(code));
    boundary.measure(method, code, elapsed);
    span.in_scope(|| tracing::info!(?code, elapsed_ms = elapsed.as_millis() as u64, "rpc"));
    response
}

impl Boundary {
    async fn pass(&self, path: &str, mut request: Request, next: Next) -> Response {
        if !self.is_public(path) {
            match self.caller(request.headers()).await {
                Some(caller) => {
                    request.extensions_mut().insert(caller);
                }
                None => return refuse(unauthenticated()),
            }
        }
        next.run(request).await
    }

    fn is_public(&self, path: &str) -> bool {
        self.public.contains(&path)
            || path.starts_with("/grpc.health.v1.")
            || path.starts_with("/grpc.reflection.v1")
    }

    async fn caller(&self, headers: &HeaderMap) -> Option<Caller> {
        let token = headers.get(AUTHORIZATION)?.to_str().ok()?;
        let token = token.strip_prefix("Bearer ").or_else(|| token.strip_prefix("bearer "))?;
        let claims = self.infra.keys.verify(token, &self.infra.clock).await?;
        let caller = Caller::from_claims(claims, token)?;
        if let CallerKind::Person { session, .. } = &caller.kind {
            match self.infra.cache.value(&infra::revoked_session(*session)).await {
                Ok(0) => {}
                Ok(_) => return None,
                // Without the cache a signed-out token lives on for the rest of its ten minutes;
                // refusing everybody instead would make the cache a part that must not fail.
                Err(error) => tracing::warn!(%error, "sign-outs cannot be checked"),
            }
        }
        Some(caller)
    }

    fn measure(&self, method: &str, code: Code, elapsed: Duration) {
        let known = if code == Code::Unimplemented { "unknown" } else { method };
        let labels = [label("method", known.to_owned()), label("code", format!("{code:?}"))];
        self.instruments.rpc.record(elapsed.as_secs_f64(), &labels);
    }
}

/// The refusal of a call without a valid token, the same for every service.
pub(crate) fn unauthenticated() -> Status {
    crate::refusal(
        "identity.usher",
        Code::Unauthenticated,
        "TOKEN_INVALID",
        "a valid access token is needed",
        &[],
        None,
    )
}

fn refuse(status: Status) -> Response {
    status.into_http::<Body>()
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
