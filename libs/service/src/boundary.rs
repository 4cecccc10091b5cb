//! The boundary of every RPC: trace, deadline, verified caller, one measurement and one log line.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
    time::Duration,
};

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, header::AUTHORIZATION};
use prost::Message as _;
use prost_types::FileDescriptorSet;
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
    let path = request.uri().path().to_owned();
    let method = method_of(&path);
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

    // The deadline is that of an answer's beginning: what streams on after it bounds itself, by how
    // long nothing comes and by what each message may take.
    let response = async {
        match deadline::within(time, boundary.pass(&path, request, next)).await {
            Some(response) => tell_malformed(response),
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
                Ok(Some(caller)) => {
                    request.extensions_mut().insert(caller);
                }
                Ok(None) => return refuse(unauthenticated()),
                Err(status) => return refuse(status),
            }
        }
        next.run(request).await
    }

    fn is_public(&self, path: &str) -> bool {
        self.public.contains(&path)
            || path.starts_with("/grpc.health.v1.")
            || path.starts_with("/grpc.reflection.v1")
    }

    async fn caller(&self, headers: &HeaderMap) -> Result<Option<Caller>, Status> {
        let token = header(headers, AUTHORIZATION.as_str());
        let token = token.and_then(|it| it.strip_prefix("Bearer ").or(it.strip_prefix("bearer ")));
        let Some(token) = token else { return Ok(None) };
        let claims = self.infra.keys.verify(token, &self.infra.clock).await?;
        let caller = claims.and_then(|claims| Caller::from_claims(claims, token));
        if let Some(CallerKind::Person { session, .. }) = caller.as_ref().map(|it| &it.kind) {
            match self.infra.cache.value(&infra::revoked_session(*session)).await {
                Ok(0) => {}
                Ok(_) => return Ok(None),
                // Without the cache a signed-out token lives on for the rest of its ten minutes;
                // refusing everybody instead would make the cache a part that must not fail.
                Err(error) => tracing::warn!(%error, "sign-outs cannot be checked"),
            }
        }
        Ok(caller)
    }

    fn measure(&self, method: &'static str, code: Code, elapsed: Duration) {
        let labels = [label("method", method), label("code", format!("{code:?}"))];
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

/// The method of a path, without the `usher.` that all of ours begin with. A path is a caller's word:
/// it names a span or a metric only if there is such a method.
fn method_of(path: &str) -> &'static str {
    static METHODS: LazyLock<HashMap<String, &'static str>> = LazyLock::new(|| {
        let descriptors = FileDescriptorSet::decode(api::DESCRIPTORS).unwrap_or_default();
        let mut methods = HashMap::new();
        for file in &descriptors.file {
            for service in &file.service {
                for method in &service.method {
                    let name = format!("{}.{}/{}", file.package(), service.name(), method.name());
                    let short = name.strip_prefix("usher.").unwrap_or(&name).to_owned();
                    methods.insert(format!("/{name}"), &*short.leak());
                }
            }
        }
        methods
    });
    METHODS.get(path).copied().unwrap_or("other")
}

/// tonic answers INTERNAL to a message that it cannot decode; that is the caller's fault, and what is
/// ours has words of its own.
fn tell_malformed(response: Response) -> Response {
    let is_internal = header(response.headers(), "grpc-status") == Some("13");
    let is_ours = header(response.headers(), "grpc-message") == Some("internal%20error");
    if is_internal && !is_ours {
        return refuse(Status::invalid_argument("the message cannot be decoded"));
    }
    response
}

fn refuse(status: Status) -> Response {
    status.into_http::<Body>()
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
