use std::{future::Future, sync::Arc, time::Duration};

use bus::{DeadLetterHandler, Handler, Message, Queue, Refusal};
use db::{Database, DbErr};
use futures::future::BoxFuture;
use tokio::time::Instant;
use tonic::service::Routes;
use tracing::Instrument as _;

use crate::{
    Timer, deadline,
    telemetry::{self, Instruments, label},
};

/// A condition of readiness: `Err` says what is missing.
pub type Check = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// Something to be done every hour, such as forgetting what is over.
pub type Chore = Arc<dyn Fn() -> BoxFuture<'static, Result<(), DbErr>> + Send + Sync>;

/// A service, ready to be run: what `build(&Infra)` answers.
pub struct Module {
    /// The service's name.
    pub name: &'static str,
    /// Its gRPC services, if it has any.
    pub grpc: Option<Routes>,
    /// Its RPCs that need no token, as `/package.Service/Method`.
    pub public: &'static [&'static str],
    /// Its pages and REST endpoints, if it has any.
    pub http: Option<axum::Router>,
    /// What it listens to on the bus. With a database, attempts are counted in its table `attempts`
    /// ([`db::migration::Attempts`]).
    pub consumers: Vec<Consumer>,
    /// Keeps what consumers of any service gave up, if this is the service that does.
    pub dead_letters: Option<DeadLetterHandler>,
    /// Its tables, whose outbox is relayed.
    pub database: Option<Database>,
    /// What must hold before it is ready, beyond its database answering.
    pub ready: Vec<Check>,
    /// What it does every hour, beyond pruning its inbox.
    pub chores: Vec<Chore>,
    /// What it does when the time of something has come.
    pub timers: Vec<Timer>,
}

impl Module {
    /// A module with nothing in it yet.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            grpc: None,
            public: &[],
            http: None,
            consumers: Vec::new(),
            dead_letters: None,
            database: None,
            ready: Vec::new(),
            chores: Vec::new(),
            timers: Vec::new(),
        }
    }
}

/// What a service does with the messages of a queue.
pub struct Consumer {
    /// The queue.
    pub queue: Queue,
    handler: Handler,
}

/// What handling one message may take: long enough to outwait a database that comes back, because
/// what was done but not recorded is done twice; well below the broker's patience, which is half an
/// hour.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);
/// The same for a consumer that waits for servers of strangers.
pub(crate) const LONGEST_PATIENCE: Duration = Duration::from_secs(25 * 60);

impl Consumer {
    /// A consumer whose `handle` goes on with the message's trace, has a deadline of five minutes and
    /// is measured.
    pub fn new<F, W>(queue: Queue, handle: F) -> Self
    where
        F: Fn(Message) -> W + Send + Sync + 'static,
        W: Future<Output = Result<(), Refusal>> + Send + 'static,
    {
        Self::within(PATIENCE, queue, handle)
    }

    /// The same with 25 minutes, for one that waits for servers of strangers.
    pub fn patient<F, W>(queue: Queue, handle: F) -> Self
    where
        F: Fn(Message) -> W + Send + Sync + 'static,
        W: Future<Output = Result<(), Refusal>> + Send + 'static,
    {
        Self::within(LONGEST_PATIENCE, queue, handle)
    }

    fn within<F, W>(patience: Duration, queue: Queue, handle: F) -> Self
    where
        F: Fn(Message) -> W + Send + Sync + 'static,
        W: Future<Output = Result<(), Refusal>> + Send + 'static,
    {
        let parts = Arc::new((handle, Instruments::new()));
        let handler: Handler = Arc::new(move |message| {
            let parts = parts.clone();
            Box::pin(async move { observe(queue, patience, &parts.0, &parts.1, message).await })
        });
        Self { queue, handler }
    }

    pub(crate) fn handler(&self) -> Handler {
        self.handler.clone()
    }
}

async fn observe<F, W>(
    queue: Queue,
    patience: Duration,
    handle: &F,
    instruments: &Instruments,
    message: Message,
) -> Result<(), Refusal>
where
    F: Fn(Message) -> W,
    W: Future<Output = Result<(), Refusal>>,
{
    let span = tracing::info_span!(
        "consume",
        otel.name = queue.name,
        otel.kind = "consumer",
        queue = queue.name,
        event = message.routing_key,
        event_id = %message.id,
        attempt = message.attempt,
        trace_id = tracing::field::Empty,
    );
    telemetry::continue_trace(&span, message.traceparent.as_deref());
    if message.redelivered {
        instruments.redelivered.add(1, &[label("queue", queue.name)]);
    }
    let begun = Instant::now();
    let work = deadline::within(patience, handle(message)).instrument(span.clone());
    let outcome = match work.await {
        Some(outcome) => outcome,
        None => {
            let minutes = patience.as_secs() / 60;
            Err(Refusal::Retry(format!("handling took longer than {minutes} minutes")))
        }
    };
    let word = match &outcome {
        Ok(()) => "handled",
        Err(Refusal::Retry(_) | Refusal::Counted(..)) => "retried",
        Err(Refusal::Later(..)) => "postponed",
        Err(Refusal::Reject(_)) => "rejected",
    };
    let labels = [label("queue", queue.name), label("outcome", word)];
    instruments.consumed.add(1, &labels);
    instruments.handling.record(begun.elapsed().as_secs_f64(), &labels[..1]);
    span.in_scope(|| match &outcome {
        Ok(()) => tracing::info!("handled"),
        Err(refusal @ Refusal::Later(..)) => tracing::info!(%refusal, "not handled"),
        Err(refusal) => tracing::warn!(%refusal, "not handled"),
    });
    outcome
}

/// The same handler, counted.
pub(crate) fn counted(handler: DeadLetterHandler) -> DeadLetterHandler {
    let instruments = Arc::new(Instruments::new());
    Arc::new(move |dead| {
        let (handler, instruments) = (handler.clone(), instruments.clone());
        Box::pin(async move {
            let labels =
                [label("queue", dead.queue.clone()), label("ground", dead.ground.as_str())];
            handler(dead).await?;
            instruments.dead_letters.add(1, &labels);
            Ok(())
        })
    })
}
