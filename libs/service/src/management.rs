//! The management port: `/livez`, `/readyz` and `/metrics` in plain HTTP.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use prometheus::Registry;

use crate::{Check, Telemetry};

/// Whether the process is to be sent work.
#[derive(Clone)]
pub(crate) struct Readiness {
    checks: Arc<Vec<(&'static str, Check)>>,
    stopping: Arc<AtomicBool>,
}

impl Readiness {
    pub(crate) fn new(checks: Vec<(&'static str, Check)>) -> Self {
        Self { checks: Arc::new(checks), stopping: Arc::default() }
    }

    /// From now on the process is not ready.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    /// What is missing, a line each; nothing if all is well.
    pub(crate) async fn missing(&self) -> Vec<String> {
        if self.stopping.load(Ordering::SeqCst) {
            return vec!["the process is stopping".to_owned()];
        }
        let asked = self.checks.iter().map(|(name, check)| async move {
            let answer = tokio::time::timeout(Duration::from_secs(2), check()).await;
            let what = answer.unwrap_or_else(|_| Err("no answer within 2 s".to_owned())).err()?;
            Some(format!("{name}: {what}"))
        });
        futures::future::join_all(asked).await.into_iter().flatten().collect()
    }
}

pub(crate) fn router(readiness: Readiness, registry: Registry) -> Router {
    let ready = async |State(readiness): State<Readiness>| {
        let missing = readiness.missing().await;
        if missing.is_empty() {
            (StatusCode::OK, "ready\n".to_owned())
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, missing.join("\n") + "\n")
        }
    };
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(async move || Telemetry::metrics(&registry)))
        .with_state(readiness)
}
