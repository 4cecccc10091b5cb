//! The relay: takes events from a service's outbox to the bus.

use std::{sync::Arc, time::Duration};

use bus::{Bus, Message, PublishError, Refusal, RetrySteps};
use db::{Database, outbox};
use kernel::Clock;
use tokio::{sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::telemetry::{self, Instruments, label};

/// What the relay works with.
pub(crate) struct Relay {
    pub service: &'static str,
    pub database: Database,
    pub bus: Bus,
    pub clock: Clock,
    pub steps: RetrySteps,
    pub window: u64,
    pub instruments: Instruments,
}

/// How long a claimed event is invisible to other relays: longer than a publish may take.
const LEASE: Duration = Duration::from_secs(60);
/// How often the outbox is looked at when nobody woke the relay.
const POLL: Duration = Duration::from_secs(1);
/// Batches in flight at once: a slow consumer in this process holds up its own batch alone.
const BATCHES: usize = 8;
/// The longest pause while the broker is away or nobody is bound.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl Relay {
    /// Relays until `stop`; then finishes the batches in flight.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let relay = Arc::new(self);
        relay.take_over().await;
        let permits = Arc::new(Semaphore::new(BATCHES));
        let mut batches = JoinSet::new();
        while !stop.is_cancelled() {
            while batches.try_join_next().is_some() {}
            let Ok(permit) = permits.clone().acquire_owned().await else { return };
            match relay.claim().await {
                Ok(rows) if rows.is_empty() => {
                    relay.measure_backlog().await;
                    tokio::select! {
                        () = relay.database.committed().notified() => {}
                        () = tokio::time::sleep(POLL) => {}
                        () = stop.cancelled() => {}
                    }
                }
                Ok(rows) => {
                    let relay = relay.clone();
                    batches.spawn(async move {
                        relay.publish(rows).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(service = relay.service, %error, "the outbox cannot be read");
                    tokio::time::sleep(POLL).await;
                }
            }
        }
        batches.join_all().await;
    }

    /// A bus in this process has one relay an outbox: what is claimed was claimed by a process that
    /// is no more.
    async fn take_over(&self) {
        if matches!(self.bus, Bus::Memory(_))
            && let Err(error) = outbox::release(&self.database, self.clock.now()).await
        {
            tracing::warn!(service = self.service, %error, "old claims must lapse first");
        }
    }

    async fn claim(&self) -> Result<Vec<outbox::Model>, db::DbErr> {
        let lease = kernel::Duration::from_std(LEASE).unwrap_or_default();
        outbox::claim(&self.database, self.clock.now(), lease, self.window).await
    }

    async fn publish(&self, rows: Vec<outbox::Model>) {
        let messages = rows.iter().map(|row| self.message(row)).collect();
        let answers = self.bus.publish(messages).await;
        let mut finished = Vec::with_capacity(rows.len());
        for (row, answer) in rows.iter().zip(answers) {
            let outcome = match answer {
                Ok(()) => {
                    finished.push(row.id);
                    "confirmed"
                }
                Err(error) => self.keep(row, error).await,
            };
            let labels = [label("service", self.service), label("outcome", outcome)];
            self.instruments.published.add(1, &labels);
        }
        // Should this fail, the lease lapses and the events go out again; inboxes know them.
        if let Err(error) = outbox::finish(&self.database, &finished).await {
            tracing::warn!(service = self.service, %error, "published events stay in the outbox");
        }
    }

    /// Keeps an event that is not known to have arrived. Answers the outcome's word for metrics.
    async fn keep(&self, row: &outbox::Model, error: PublishError) -> &'static str {
        let attempt = u32::try_from(row.attempts).unwrap_or(1);
        let (pause, outcome) = match &error {
            PublishError::Unroutable(_) => (Some(growing_pause(attempt)), "returned"),
            PublishError::Unavailable(_) => (Some(growing_pause(attempt)), "unconfirmed"),
            PublishError::Refused(Refusal::Retry(_)) => (self.steps.after(attempt), "refused"),
            PublishError::Refused(Refusal::Reject(_)) => (None, "rejected"),
        };
        tracing::warn!(service = self.service, event_id = %row.id, event = row.routing_key,
            attempt, %error, "an event stays in the outbox");
        let kept = match pause.and_then(|pause| kernel::Duration::from_std(pause).ok()) {
            Some(pause) => outbox::postpone(&self.database, row.id, self.clock.now() + pause).await,
            None => outbox::bury(&self.database, row.id, &error.to_string()).await,
        };
        if let Err(error) = kept {
            tracing::warn!(service = self.service, %error, "the event's lease must lapse first");
        }
        outcome
    }

    fn message(&self, row: &outbox::Model) -> Message {
        let span = tracing::info_span!(
            "publish",
            otel.kind = "producer",
            event = row.routing_key,
            event_id = %row.id,
            trace_id = tracing::field::Empty,
        );
        telemetry::continue_trace(&span, row.traceparent.as_deref());
        let traceparent = span.in_scope(|| {
            tracing::info!("publishing");
            telemetry::current_traceparent()
        });
        Message {
            id: row.id,
            routing_key: row.routing_key.clone(),
            source: format!("usher/{}", self.service),
            subject: row.subject,
            time: row.created_at,
            payload: row.payload.clone(),
            traceparent: traceparent.or_else(|| row.traceparent.clone()),
            attempt: match self.bus {
                // In this process the outbox counts the attempts; a broker's consumers do.
                Bus::Memory(_) => u32::try_from(row.attempts).unwrap_or(1),
                Bus::RabbitMq(_) => 1,
            },
        }
    }

    async fn measure_backlog(&self) {
        let Ok(backlog) = outbox::backlog(&self.database).await else { return };
        let labels = [label("service", self.service)];
        let age = backlog.oldest.map_or(0.0, |oldest| {
            (self.clock.now() - oldest).to_std().unwrap_or_default().as_secs_f64()
        });
        self.instruments.outbox_waiting.record(backlog.waiting, &labels);
        self.instruments.outbox_dead.record(backlog.dead, &labels);
        self.instruments.outbox_oldest.record(age, &labels);
    }
}

fn growing_pause(attempt: u32) -> Duration {
    let doubled = Duration::from_millis(250) * 2u32.saturating_pow(attempt.min(16));
    doubled.min(LONGEST_PAUSE)
}
