//! The relay: takes events from a service's outbox to the bus.

use std::{sync::Arc, time::Duration};

use bus::{Bus, Message, PublishError, Refusal, RetrySteps};
use db::{Database, DbErr, outbox};
use kernel::{Clock, Uuid};
use tokio::{sync::Semaphore, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    deadline,
    telemetry::{self, Instruments, label},
};

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

/// How long a claimed event is invisible to other relays: longer than a publish may take, which in
/// this process is the 45 s of a consumer.
const LEASE: kernel::Duration = kernel::Duration::seconds(60);
/// How often the outbox is looked at when nobody woke the relay, and how long the relay rests when
/// the bus is away.
const POLL: Duration = Duration::from_secs(1);
/// Batches in flight at once.
const BATCHES: usize = 8;
/// How often the backlog is measured.
const MEASURE: Duration = Duration::from_secs(15);
/// What a question to the database may take, a broken connection included.
const PATIENCE: Duration = Duration::from_secs(15);

impl Relay {
    /// Relays until `stop`; then finishes the batches in flight.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let relay = Arc::new(self);
        relay.take_over().await;
        let measuring = tokio::spawn(measure(relay.clone()));
        let permits = Arc::new(Semaphore::new(BATCHES));
        let mut batches = JoinSet::new();
        while !stop.is_cancelled() {
            let mut bus_is_away = false;
            while let Some(done) = batches.try_join_next() {
                bus_is_away |= done.unwrap_or(false);
            }
            if bus_is_away {
                rest(&stop).await;
            }
            let Ok(permit) = permits.clone().acquire_owned().await else { break };
            match relay.claim().await {
                Ok(rows) if rows.is_empty() => {
                    drop(permit);
                    tokio::select! {
                        () = relay.database.committed().notified() => {}
                        () = rest(&stop) => {}
                    }
                }
                Ok(rows) => {
                    let relay = relay.clone();
                    batches.spawn(async move {
                        let bus_is_away = relay.publish(rows).await;
                        drop(permit);
                        bus_is_away
                    });
                }
                Err(error) => {
                    tracing::warn!(service = relay.service, %error, "the outbox cannot be read");
                    rest(&stop).await;
                }
            }
        }
        measuring.abort();
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

    async fn claim(&self) -> Result<Vec<outbox::Model>, DbErr> {
        let window = match self.bus {
            // A publish here waits for the consumer: one that is slow holds up its own event alone.
            Bus::Memory(_) => 1,
            Bus::RabbitMq(_) => self.window,
        };
        let claiming = outbox::claim(&self.database, self.clock.now(), LEASE, window);
        bounded(claiming).await
    }

    /// Publishes claimed events. Answers whether the bus is away.
    async fn publish(&self, rows: Vec<outbox::Model>) -> bool {
        let messages = rows.iter().map(|row| self.message(row)).collect();
        let answers = self.bus.publish(messages).await;
        let (mut finished, mut postponed) = (Vec::with_capacity(rows.len()), Vec::new());
        let mut away = None;
        for (row, answer) in rows.iter().zip(answers) {
            let outcome = match answer {
                Ok(()) => {
                    finished.push(row.id);
                    "confirmed"
                }
                Err(PublishError::Refused(refusal)) => self.refused(row, &refusal).await,
                Err(error) => {
                    postponed.push(row.id);
                    let outcome = match &error {
                        PublishError::Unroutable(_) => "returned",
                        _ => "unconfirmed",
                    };
                    away = away.or(Some(error));
                    outcome
                }
            };
            let labels = [label("service", self.service), label("outcome", outcome)];
            self.instruments.published.add(1, &labels);
        }
        // Should either fail, the lease lapses and the events go out again; inboxes know them.
        self.note(bounded(outbox::finish(&self.database, &finished)).await);
        if let Some(error) = &away {
            let events = postponed.len();
            tracing::warn!(service = self.service, events, %error, "events stay in the outbox");
            self.note(self.postpone(&postponed).await);
        }
        away.is_some() && finished.is_empty()
    }

    async fn postpone(&self, ids: &[Uuid]) -> Result<(), DbErr> {
        let pause = kernel::Duration::from_std(POLL).unwrap_or_default();
        bounded(outbox::postpone(&self.database, ids, self.clock.now() + pause)).await
    }

    /// Keeps an event that a consumer in this process refused. Answers the outcome's word.
    async fn refused(&self, row: &outbox::Model, refusal: &Refusal) -> &'static str {
        let attempt = attempt_of(row);
        let (pause, outcome) = match refusal {
            Refusal::Retry(_) => (self.steps.after(attempt), "refused"),
            Refusal::Reject(_) => (None, "rejected"),
        };
        tracing::warn!(service = self.service, event_id = %row.id, event = row.routing_key,
            attempt, %refusal, "an event stays in the outbox");
        let pause = pause.and_then(|pause| kernel::Duration::from_std(pause).ok());
        let why = refusal.to_string();
        let kept = bounded(async {
            match pause {
                Some(pause) => {
                    outbox::refuse(&self.database, row.id, self.clock.now() + pause).await
                }
                None => outbox::bury(&self.database, row.id, &why).await,
            }
        });
        self.note(kept.await);
        outcome
    }

    fn note(&self, kept: Result<(), DbErr>) {
        if let Err(error) = kept {
            tracing::warn!(service = self.service, %error, "events' leases must lapse first");
        }
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
            // In this process the outbox counts the attempts; with a broker its consumers do, and
            // there no row has been refused.
            attempt: attempt_of(row),
            must_arrive: row.must_arrive,
        }
    }
}

fn attempt_of(row: &outbox::Model) -> u32 {
    u32::try_from(row.attempts).unwrap_or(0) + 1
}

async fn rest(stop: &CancellationToken) {
    tokio::select! {
        () = sleep(POLL) => {}
        () = stop.cancelled() => {}
    }
}

async fn bounded<T>(question: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
    let late = || Err(DbErr::Custom("the database did not answer within 15 s".to_owned()));
    deadline::within(PATIENCE, question).await.unwrap_or_else(late)
}

async fn measure(relay: Arc<Relay>) {
    loop {
        if let Ok(backlog) = bounded(outbox::backlog(&relay.database)).await {
            let labels = [label("service", relay.service)];
            let age = backlog.oldest.map_or(0.0, |oldest| {
                (relay.clock.now() - oldest).to_std().unwrap_or_default().as_secs_f64()
            });
            relay.instruments.outbox_waiting.record(backlog.waiting, &labels);
            relay.instruments.outbox_dead.record(backlog.dead, &labels);
            relay.instruments.outbox_oldest.record(age, &labels);
        }
        sleep(MEASURE).await;
    }
}

#[cfg(test)]
mod tests {
    use bus::{BusUrl, Handler, Queue};
    use sea_orm_migration::{MigrationTrait, MigratorTrait};

    use super::*;

    struct Tables;

    impl MigratorTrait for Tables {
        fn migrations() -> Vec<Box<dyn MigrationTrait>> {
            vec![Box::new(db::migration::Messaging), Box::new(db::migration::Announcements)]
        }
    }

    async fn tables(folder: &tempfile::TempDir) -> Database {
        let url = db::DatabaseUrl::Sqlite(folder.path().to_owned());
        let database = Database::connect(&url, "test", 2).await.unwrap();
        db::migration::migrate::<Tables>(&database).await.unwrap();
        database
    }

    #[tokio::test]
    async fn what_a_crash_left_claimed_goes_out_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let database = tables(&folder).await;
        let clock = Clock::Manual(kernel::ManualClock::at(Clock::System.now()));
        let tx = database.begin().await.unwrap();
        let id = clock.new_id();
        crate::publish(&tx, &clock, "test.told.v1", id, &()).await.unwrap();
        tx.commit().await.unwrap();
        // Claimed by a process that is no more; the clock stands, so its lease never lapses.
        assert_eq!(outbox::claim(&database, clock.now(), LEASE, 1).await.unwrap().len(), 1);

        let (bus, stop) =
            (Bus::open(&BusUrl::Memory, RetrySteps::default()), CancellationToken::new());
        let told = stop.clone();
        let handler: Handler = Arc::new(move |_| {
            told.cancel();
            Box::pin(async { Ok(()) })
        });
        let queue = Queue { name: "test", bindings: &["test.told.v1"], concurrency: 1 };
        let _bound = bus.consume(queue, handler, CancellationToken::new());
        let (service, window, steps) = ("test", 1, RetrySteps::default());
        let instruments = Instruments::new();
        let relay =
            Relay { service, database: database.clone(), bus, clock, steps, window, instruments };
        tokio::time::timeout(Duration::from_secs(10), relay.run(stop)).await.expect("it was told");
        assert_eq!(outbox::backlog(&database).await.unwrap().waiting, 0);
    }

    #[tokio::test]
    async fn what_no_queue_takes_stays_in_the_outbox_if_it_must_arrive() {
        let folder = tempfile::tempdir().unwrap();
        let database = tables(&folder).await;
        let clock = Clock::Manual(kernel::ManualClock::at(Clock::System.now()));
        let tx = database.begin().await.unwrap();
        crate::publish(&tx, &clock, "test.told.v1", clock.new_id(), &()).await.unwrap();
        crate::announce(&tx, &clock, "test.told.v1", clock.new_id(), &()).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(outbox::backlog(&database).await.unwrap().waiting, 2);
        let bus = Bus::open(&BusUrl::Memory, RetrySteps::default());
        let (service, window, steps) = ("test", 1, RetrySteps::default());
        let instruments = Instruments::new();
        let relay =
            Relay { service, database: database.clone(), bus, clock, steps, window, instruments };
        for is_away in [true, false] {
            let rows = relay.claim().await.unwrap();
            assert_eq!(relay.publish(rows).await, is_away);
        }
        assert_eq!(outbox::backlog(&database).await.unwrap().waiting, 1);
    }

    #[tokio::test]
    async fn an_event_is_claimed_once() {
        let folder = tempfile::tempdir().unwrap();
        let (database, id, now) =
            (tables(&folder).await, Clock::System.new_id(), Clock::System.now());
        for (consumer, claimed) in [("one", true), ("one", false), ("two", true)] {
            let tx = database.begin().await.unwrap();
            assert_eq!(db::inbox::claim(&tx, consumer, id, now).await.unwrap(), claimed);
            tx.commit().await.unwrap();
        }
    }
}
