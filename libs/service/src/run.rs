//! Running: every module's servers, consumers and relay, until told to stop.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::middleware;
use prometheus::Registry;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tonic::{
    service::Routes,
    transport::{Server, server::TcpIncoming},
};

use crate::{
    Check, Infra, Module,
    boundary::{self, Boundary},
    http,
    management::{self, Readiness},
    relay::Relay,
    telemetry::Instruments,
};

/// How long what is in flight may take after the signal to stop.
const GRACE: Duration = Duration::from_secs(8);

/// The sockets, opened before anything starts, so that an address in use is an early error.
pub struct Listeners {
    /// For each module that serves: its name and socket.
    pub modules: Vec<(&'static str, TcpListener)>,
    /// The management port.
    pub management: TcpListener,
}

impl Listeners {
    /// Opens a socket; the error names the address.
    pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
        TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
    }
}

/// Fires at SIGTERM and at Ctrl-C.
pub fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let fired = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        fired.cancel();
    });
    Ok(stop)
}

/// Runs modules until `stop`: readiness goes off, what is in flight is finished, connections are
/// closed. It ends within ten seconds.
pub async fn run(
    infra: Infra,
    modules: Vec<Module>,
    mut listeners: Listeners,
    registry: Registry,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let readiness = Readiness::new(modules.iter().flat_map(checks).collect());
    let databases: Vec<_> = modules.iter().filter_map(|module| module.database.clone()).collect();
    let mut tasks: JoinSet<anyhow::Result<()>> = JoinSet::new();
    let mut relays = Vec::new();

    for module in modules {
        let Module { name, grpc, public, http, consumers, database, .. } = module;
        if let Some(routes) = grpc {
            let listener = take(&mut listeners, name)?;
            let boundary =
                Boundary { infra: infra.clone(), public, instruments: Instruments::new() };
            tasks.spawn(serve_grpc(routes, boundary, readiness.clone(), listener, stop.clone()));
        }
        if let Some(router) = http {
            let listener = take(&mut listeners, name)?;
            let stop = stop.clone();
            tasks.spawn(async move {
                http::serve(router, listener, stop).await;
                Ok(())
            });
        }
        for consumer in consumers {
            let consuming = infra.bus.consume(consumer.queue, consumer.handler(), stop.clone());
            tasks.spawn(async move {
                consuming.await;
                Ok(())
            });
        }
        if let Some(database) = database {
            relays.push(Relay {
                service: name,
                database,
                bus: infra.bus.clone(),
                clock: infra.clock.clone(),
                steps: infra.retry_steps.clone(),
                window: infra.settings.relay_window,
                instruments: Instruments::new(),
            });
        }
    }
    // Only now: within one process every queue is bound by now.
    for relay in relays {
        let stop = stop.clone();
        tasks.spawn(async move {
            relay.run(stop).await;
            Ok(())
        });
    }
    // The management port answers until the very end.
    let management = management::router(readiness.clone(), registry);
    let management =
        tokio::spawn(http::serve(management, listeners.management, CancellationToken::new()));

    let mut outcome = Ok(());
    tokio::select! {
        () = stop.cancelled() => {}
        // Nothing ends by itself: whatever does takes the process with it.
        Some(ended) = tasks.join_next() => {
            outcome = ended.map_err(anyhow::Error::from).and_then(|ended| ended);
            stop.cancel();
        }
    }
    readiness.stop();
    let finishing = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, finishing).await.is_err() {
        tracing::warn!("some work was cut off after {} s", GRACE.as_secs());
    }
    tasks.abort_all();
    for database in databases {
        let _ = tokio::time::timeout(Duration::from_secs(1), database.close()).await;
    }
    management.abort();
    outcome
}

fn take(listeners: &mut Listeners, name: &str) -> anyhow::Result<TcpListener> {
    let index = listeners.modules.iter().position(|(module, _)| *module == name);
    let index = index.with_context(|| format!("no socket was opened for {name}"))?;
    Ok(listeners.modules.swap_remove(index).1)
}

fn checks(module: &Module) -> Vec<(&'static str, Check)> {
    let mut checks: Vec<Check> = module.ready.clone();
    if let Some(database) = module.database.clone() {
        checks.push(Arc::new(move || {
            let database = database.clone();
            Box::pin(
                async move { database.ping().await.map_err(|_| "its database is away".to_owned()) },
            )
        }));
    }
    checks.into_iter().map(|check| (module.name, check)).collect()
}

async fn serve_grpc(
    routes: Routes,
    boundary: Boundary,
    readiness: Readiness,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let settings = boundary.infra.settings.clone();
    let (reporter, health) = tonic_health::server::health_reporter();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(api::DESCRIPTORS)
        .build_v1()?;
    let guarded = routes
        .add_service(health)
        .add_service(reflection)
        .prepare()
        .into_axum_router()
        .layer(middleware::from_fn_with_state(Arc::new(boundary), boundary::guard))
        // A panic is answered, not a connection that breaks.
        .layer(tower_http::catch_panic::CatchPanicLayer::custom(panicked));
    let reporting = tokio::spawn(report_health(reporter, readiness));
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let served = Server::builder()
        .max_concurrent_streams(settings.concurrent_streams)
        .http2_max_header_list_size(16 * 1024)
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .add_routes(Routes::from(guarded))
        .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
        .await;
    reporting.abort();
    Ok(served?)
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> axum::response::Response {
    // The message is not logged: it could hold what was in the request. The panic hook prints it
    // where the process' operator sees it.
    tracing::error!("a handler panicked");
    tonic::Status::internal("internal error").into_http()
}

/// gRPC health follows readiness.
async fn report_health(reporter: tonic_health::server::HealthReporter, readiness: Readiness) {
    use tonic_health::ServingStatus::{NotServing, Serving};
    loop {
        let status = if readiness.missing().await.is_empty() { Serving } else { NotServing };
        reporter.set_service_status("", status).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
