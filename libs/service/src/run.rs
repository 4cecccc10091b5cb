//! Running: every module's servers, consumers, timers and relay, until told to stop.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::middleware;
use bus::Bus;
use db::Database;
use kernel::Clock;
use prometheus::Registry;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tonic::{service::Routes, transport::Server};

use crate::{
    Check, Chore, Infra, Module,
    attempts::Attempts,
    boundary::{self, Boundary},
    http,
    incoming::incoming,
    management::{self, Readiness},
    module::counted,
    outboxes::Outbox,
    relay::Relay,
    telemetry::Instruments,
};

/// How long what is in flight may take after the signal to stop: first what comes from outside and
/// what calls the services, then the services themselves, which the former may need to finish.
const GRACE_EDGES: Duration = Duration::from_millis(5_500);
const GRACE_SERVICES: Duration = Duration::from_secs(2);
/// How long closing the databases may take.
const GRACE_DATABASES: Duration = Duration::from_millis(500);
/// A connection is asked to end after this time, and cut off after the grace: it also ends those that
/// never finished their handshake, and streams that are only watched.
const CONNECTION_AGE: Duration = Duration::from_secs(1_800);
const CONNECTION_GRACE: Duration = Duration::from_secs(60);
/// How often chores are done, and how long handled and refused events are remembered: longer than
/// retries bring one back.
const CHORES: Duration = Duration::from_secs(3_600);
const REMEMBERED: kernel::Duration = kernel::Duration::days(7);

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
    let checks = modules.iter().flat_map(|module| checks(module, &infra.bus)).collect();
    let readiness = Readiness::new(checks);
    let databases: Vec<_> = modules.iter().filter_map(|module| module.database.clone()).collect();
    let (mut edges, mut services) = (JoinSet::new(), JoinSet::new());
    let stop_services = CancellationToken::new();
    let mut relays = Vec::new();

    for module in modules {
        let Module { name, grpc, public, http, consumers, database, chores, timers, .. } = module;
        let counts = !consumers.is_empty();
        if let Some(handler) = module.dead_letters {
            edges.spawn(infra.bus.keep_dead_letters(counted(handler), stop.clone()));
        }
        if let Some(mut routes) = grpc {
            let listener = take(&mut listeners, name)?;
            if let Some(database) = database.clone() {
                let (clock, peers) = (infra.clock.clone(), infra.peers(name)?);
                let outbox = Outbox { service: name, database, clock, peers };
                let bytes = infra.settings.message_bytes;
                routes = routes.add_service(outbox.server().max_decoding_message_size(bytes));
            }
            let boundary =
                Boundary { infra: infra.clone(), public, instruments: Instruments::new() };
            let (readiness, stop) = (readiness.clone(), stop_services.clone());
            services.spawn(serve_grpc(routes, boundary, readiness, listener, stop));
        }
        if let Some(router) = http {
            let listener = take(&mut listeners, name)?;
            edges.spawn(http::serve(router, listener, stop.clone()));
        }
        for consumer in consumers {
            let (queue, mut handler) = (consumer.queue, consumer.handler());
            if let Some(database) = database.clone() {
                let (clock, steps) = (infra.clock.clone(), infra.settings.retry_steps.clone());
                handler = Attempts { database, clock, steps }.counting(queue, handler);
            }
            edges.spawn(infra.bus.consume(queue, handler, stop.clone()));
        }
        for timer in timers {
            edges.spawn(timer.run(Instruments::new(), stop.clone()));
        }
        if let Some(database) = database {
            edges.spawn(do_chores(
                name,
                counts,
                database.clone(),
                infra.clock.clone(),
                chores,
                stop.clone(),
            ));
            relays.push(Relay {
                service: name,
                database,
                bus: infra.bus.clone(),
                clock: infra.clock.clone(),
                steps: infra.settings.retry_steps.clone(),
                window: infra.settings.relay_window,
                instruments: Instruments::new(),
            });
        }
    }
    // Only now: within one process every queue is bound by now.
    for relay in relays {
        edges.spawn(relay.run(stop.clone()));
    }
    // The management port answers until the very end.
    let management = management::router(readiness.clone(), registry);
    let management =
        tokio::spawn(http::serve(management, listeners.management, CancellationToken::new()));

    // Nothing ends by itself: whatever does takes the process with it.
    let outcome = tokio::select! {
        () = stop.cancelled() => Ok(()),
        Some(ended) = edges.join_next() => ended.map_err(anyhow::Error::from),
        Some(ended) = services.join_next() => ended.map_err(anyhow::Error::from).and_then(|it| it),
    };
    stop.cancel();
    readiness.stop();
    finish("edges", &mut edges, GRACE_EDGES).await;
    stop_services.cancel();
    finish("services", &mut services, GRACE_SERVICES).await;
    let closing = futures::future::join_all(databases.iter().map(Database::close));
    let _ = tokio::time::timeout(GRACE_DATABASES, closing).await;
    management.abort();
    outcome
}

async fn finish<T: 'static>(what: &str, tasks: &mut JoinSet<T>, grace: Duration) {
    let finishing = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, finishing).await.is_err() {
        tracing::warn!(what, "some work was cut off after {} ms", grace.as_millis());
        tasks.abort_all();
    }
}

/// Forgets what is over, every hour. Several instances may do so at once.
async fn do_chores(
    service: &'static str,
    counts: bool,
    database: Database,
    clock: Clock,
    chores: Vec<Chore>,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let pruned = db::inbox::prune(&database, clock.now() - REMEMBERED).await;
        let mut done = vec![pruned];
        if counts {
            done.push(db::attempts::prune(&database, clock.now() - REMEMBERED).await);
        }
        for chore in &chores {
            done.push(chore().await);
        }
        for error in done.into_iter().filter_map(Result::err) {
            tracing::warn!(service, %error, "a chore was not done");
        }
        let _ = tokio::time::timeout(CHORES, stop.cancelled()).await;
    }
}

fn take(listeners: &mut Listeners, name: &str) -> anyhow::Result<TcpListener> {
    let index = listeners.modules.iter().position(|(module, _)| *module == name);
    let index = index.with_context(|| format!("no socket was opened for {name}"))?;
    Ok(listeners.modules.swap_remove(index).1)
}

fn checks(module: &Module, bus: &Bus) -> Vec<(&'static str, Check)> {
    let mut checks: Vec<Check> = module.ready.clone();
    if !module.consumers.is_empty() || module.database.is_some() {
        let bus = bus.clone();
        checks.push(Arc::new(move || {
            let obstacle = bus.obstacle();
            Box::pin(async move { obstacle.map_or(Ok(()), Err) })
        }));
    }
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
    let served = Server::builder()
        .max_concurrent_streams(settings.concurrent_streams)
        .http2_max_header_list_size(16 * 1024)
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .max_connection_age(CONNECTION_AGE)
        .max_connection_age_grace(CONNECTION_GRACE)
        .add_routes(Routes::from(guarded))
        .serve_with_incoming_shutdown(incoming(listener), stop.cancelled_owned())
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
