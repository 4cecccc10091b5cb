//! The relay: takes events from a service's outbox to the bus.

use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use bus::{Bus, Message, PublishError, RetrySteps};
use db::{Database, DbErr, outbox};
use kernel::{Clock, Uuid};
use tokio::{sync::Semaphore, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    deadline,
    module::LONGEST_PATIENCE as PATIENCE_OF_CONSUMERS,
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

/// How long a claimed event is invisible to other relays: longer than a publish may take.
const LEASE: kernel::Duration = kernel::Duration::seconds(60);
/// The same where a publish waits for the consumer. Its relay is alone, and takes over what a crash
/// left claimed when it starts.
const LEASE_IN_PROCESS: kernel::Duration = kernel::Duration::seconds(1_800);
const _: () = assert!(PATIENCE_OF_CONSUMERS.as_secs() < 1_800);
/// How often the outbox is looked at when nobody woke the relay.
const POLL: Duration = Duration::from_secs(1);
/// How long the relay rests at most before it asks again whether the bus is back.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Batches in flight at once.
const BATCHES: usize = 8;
/// The same where a batch is one event that waits for its consumer: as many as the mailer has places with
/// the usual settings, those that wait for a last answer included, and some for the others.
const BATCHES_IN_PROCESS: usize = 128;
/// How long a claimed batch may wait for its turn, so that it is published within its lease: a broker
/// may take four times 10 s for it, from the wait for the connection to the last confirmation.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
const _: () = assert!(LONGEST_WAIT.as_secs() + 40 <= LEASE.num_seconds().unsigned_abs());
/// When what became of an event is written again, if that failed and its lease is long.
const PAUSES: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(25)];
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
        // With a broker the batches share a channel, which is one batch's at a time.
        let (at_once, turns) = match relay.bus {
            Bus::Memory(_) => (BATCHES_IN_PROCESS, BATCHES_IN_PROCESS),
            Bus::RabbitMq(_) => (BATCHES, 1),
        };
        let permits = Arc::new(Semaphore::new(at_once));
        let turns = Arc::new(Semaphore::new(turns));
        let mut batches = JoinSet::new();
        let mut bus_is_away = false;
        // Whoever waits for a permit when it stops claims nothing more: its consumers are stopping, too.
        while let Some(Ok(permit)) = stop.run_until_cancelled(permits.clone().acquire_owned()).await
        {
            while let Some(done) = batches.try_join_next() {
                bus_is_away |= done.unwrap_or(false);
            }
            if mem::take(&mut bus_is_away) {
                relay.wait_for_the_bus(&stop).await;
                continue;
            }
            let claimed = Instant::now();
            match relay.claim().await {
                Ok(rows) if rows.is_empty() => {
                    drop(permit);
                    tokio::select! {
                        () = relay.database.committed().notified() => {}
                        // Behind an event that has left, the next of its subject may leave.
                        Some(done) = batches.join_next() => bus_is_away = done.unwrap_or(false),
                        () = rest(POLL, &stop) => {}
                    }
                }
                // The consumers are stopping, too.
                Ok(rows) if stop.is_cancelled() => relay.put_back(&rows).await,
                Ok(rows) => {
                    let (relay, turns) = (relay.clone(), turns.clone());
                    batches.spawn(async move {
                        let bus_is_away = relay.publish(rows, claimed, &turns).await;
                        drop(permit);
                        bus_is_away
                    });
                }
                Err(error) => {
                    tracing::warn!(service = relay.service, %error, "the outbox cannot be read");
                    rest(POLL, &stop).await;
                }
            }
        }
        measuring.abort();
        batches.join_all().await;
    }

    /// Leaves the outbox alone until the bus answers again, and asks with growing pauses.
    async fn wait_for_the_bus(&self, stop: &CancellationToken) {
        let mut pause = POLL / 10;
        rest(pause, stop).await;
        while !stop.is_cancelled() && !self.bus.is_available().await {
            rest(pause, stop).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
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
        let claiming = outbox::claim(&self.database, self.clock.now(), self.lease(), window);
        bounded(claiming).await
    }

    fn lease(&self) -> kernel::Duration {
        match self.bus {
            Bus::Memory(_) => LEASE_IN_PROCESS,
            Bus::RabbitMq(_) => LEASE,
        }
    }

    /// Publishes events that were `claimed` then, when it is their turn. Answers whether the bus is away.
    async fn publish(&self, rows: Vec<outbox::Model>, claimed: Instant, turns: &Semaphore) -> bool {
        let turn = turns.acquire().await;
        if claimed.elapsed() > LONGEST_WAIT {
            drop(turn);
            tracing::info!(service = self.service, events = rows.len(), "events waited too long");
            // When their lease has lapsed they may be another's.
            if claimed.elapsed() < self.lease().to_std().unwrap_or_default() {
                self.put_back(&rows).await;
            }
            return false;
        }
        let messages = rows.iter().map(|row| self.message(row)).collect();
        let begun = Instant::now();
        let answers = self.bus.publish(messages).await;
        fault::point("after-confirm");
        let service = label("service", self.service);
        self.instruments.publishing.record(begun.elapsed().as_secs_f64(), &[service]);
        drop(turn);
        let answers: Vec<_> = rows.iter().zip(answers).collect();
        let taken = answers.iter().filter(|(_, answer)| answer.is_ok());
        let finished: Vec<_> = taken.map(|(row, _)| row.id).collect();
        // Before all else: until then a crash sends them once more.
        self.keep(|| outbox::finish(&self.database, &finished)).await;
        let (mut postponed, mut away) = (Vec::new(), None);
        for (row, answer) in answers {
            let outcome = match answer {
                Ok(()) => "confirmed",
                Err(PublishError::Refused(why)) => {
                    self.refused(row, self.steps.at_most(attempt_of(row)), &why).await;
                    "refused"
                }
                Err(PublishError::Later(pause, why)) => {
                    tracing::info!(service = self.service, event_id = %row.id, why, "an event waits");
                    self.postpone(&[row.id], pause).await;
                    "postponed"
                }
                Err(error @ PublishError::Unroutable(_)) => {
                    self.refused(row, returned(attempt_of(row)), &error.to_string()).await;
                    "returned"
                }
                Err(error @ PublishError::Unpublishable(_)) => {
                    tracing::error!(service = self.service, event_id = %row.id, %error, "set aside");
                    let why = error.to_string();
                    self.keep(|| outbox::bury(&self.database, row.id, &why)).await;
                    "buried"
                }
                Err(error @ PublishError::Unavailable(_)) => {
                    postponed.push(row.id);
                    away = away.or(Some(error));
                    "unconfirmed"
                }
            };
            let labels = [label("service", self.service), label("outcome", outcome)];
            self.instruments.published.add(1, &labels);
        }
        if let Some(error) = &away {
            let events = postponed.len();
            tracing::warn!(service = self.service, events, %error, "events stay in the outbox");
            self.postpone(&postponed, POLL).await;
        }
        away.is_some() && finished.is_empty()
    }

    /// Leaves events to whoever claims them next.
    async fn put_back(&self, rows: &[outbox::Model]) {
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        self.postpone(&ids, Duration::ZERO).await;
    }

    async fn postpone(&self, ids: &[Uuid], pause: Duration) {
        let at = self.clock.now() + kernel::Duration::from_std(pause).unwrap_or_default();
        self.keep(|| outbox::postpone(&self.database, ids, at)).await;
    }

    /// Keeps an event that was refused, and lets those behind it pass.
    async fn refused(&self, row: &outbox::Model, pause: Duration, why: &str) {
        let attempt = attempt_of(row);
        tracing::warn!(service = self.service, event_id = %row.id, event = row.routing_key,
            attempt, why, "an event stays in the outbox");
        let at = self.clock.now() + kernel::Duration::from_std(pause).unwrap_or_default();
        self.keep(|| outbox::refuse(&self.database, row.id, at, why)).await;
    }

    /// Writes what became of events. While that fails they stay claimed, and go out again when the lease
    /// has lapsed; inboxes know them. In this process the lease is long, so they are written again first.
    async fn keep<W: Future<Output = Result<(), DbErr>>>(&self, write: impl Fn() -> W) {
        let pauses = match self.bus {
            Bus::Memory(_) => PAUSES.as_slice(),
            Bus::RabbitMq(_) => &[],
        };
        for pause in pauses {
            let Err(error) = bounded(write()).await else { return };
            tracing::warn!(service = self.service, %error, "what became of events is written again");
            sleep(*pause).await;
        }
        if let Err(error) = bounded(write()).await {
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
            source: format!("usher/{}", row.source.as_deref().unwrap_or(self.service)),
            subject: row.subject,
            time: row.created_at,
            payload: row.payload.clone(),
            traceparent: traceparent.or_else(|| row.traceparent.clone()),
            // In this process the outbox counts the consumers' attempts. With a broker they count them
            // themselves, and the outbox counts how often no queue was there.
            attempt: match self.bus {
                Bus::Memory(_) => attempt_of(row),
                Bus::RabbitMq(_) => 1,
            },
            must_arrive: row.must_arrive,
            queue: row.queue.clone(),
            redelivered: false,
        }
    }
}

fn attempt_of(row: &outbox::Model) -> u32 {
    u32::try_from(row.attempts).unwrap_or(0) + 1
}

/// When an event that found no queue is tried again: its consumer may not have declared it yet, or an
/// operator may have to mend it.
fn returned(attempt: u32) -> Duration {
    (POLL * 2_u32.saturating_pow(attempt.saturating_sub(1).min(6))).min(Duration::from_secs(60))
}

/// Rests for about so long: relays that lost the broker together do not come back together.
async fn rest(pause: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = sleep(pause.mul_f64(rand::random_range(0.5..1.5))) => {}
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
            relay.instruments.outbox_refused.record(backlog.refused, &labels);
            relay.instruments.outbox_dead.record(backlog.dead, &labels);
            relay.instruments.outbox_oldest.record(age, &labels);
        }
        sleep(MEASURE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use bus::{BusUrl, Handler, Queue};
    use sea_orm_migration::{MigrationTrait, MigratorTrait, sea_orm::ConnectionTrait as _};

    use super::*;

    struct Tables;

    impl MigratorTrait for Tables {
        fn migrations() -> Vec<Box<dyn MigrationTrait>> {
            vec![
                Box::new(db::migration::Messaging),
                Box::new(db::migration::Announcements),
                Box::new(db::migration::Order),
            ]
        }
    }

    fn relay(database: &Database, bus: Bus, clock: &Clock) -> Relay {
        Relay {
            service: "test",
            database: database.clone(),
            bus,
            clock: clock.clone(),
            steps: RetrySteps::default(),
            window: 1,
            instruments: Instruments::new(),
        }
    }

    /// Claims and publishes what is due; answers whether the bus is away.
    async fn publish(relay: &Relay) -> bool {
        let rows = relay.claim().await.unwrap();
        relay.publish(rows, Instant::now(), &Semaphore::new(1)).await
    }

    async fn write(database: &Database, clock: &Clock, subject: Uuid) {
        let tx = database.begin().await.unwrap();
        crate::publish(&tx, clock, "test.told.v1", subject, &()).await.unwrap();
        tx.commit().await.unwrap();
    }

    const QUEUE: Queue = Queue { name: "test", bindings: &["test.told.v1"], concurrency: 1 };

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
        write(&database, &clock, clock.new_id()).await;
        // Claimed by a process that is no more; the clock stands, so its lease never lapses.
        assert_eq!(outbox::claim(&database, clock.now(), LEASE, 1).await.unwrap().len(), 1);

        let (bus, stop) =
            (Bus::open(&BusUrl::Memory, RetrySteps::default()), CancellationToken::new());
        let told = stop.clone();
        let handler: Handler = Arc::new(move |_| {
            told.cancel();
            Box::pin(async { Ok(()) })
        });
        let _bound = bus.consume(QUEUE, handler, CancellationToken::new());
        let relay = relay(&database, bus, &clock);
        tokio::time::timeout(Duration::from_secs(10), relay.run(stop)).await.expect("it was told");
        assert_eq!(outbox::backlog(&database).await.unwrap().waiting, 0);
    }

    #[tokio::test]
    async fn the_events_of_one_subject_leave_one_right_after_another() {
        let folder = tempfile::tempdir().unwrap();
        let (database, clock, subject) =
            (tables(&folder).await, Clock::System, Clock::System.new_id());
        let events = 20;
        for _ in 0..events {
            write(&database, &clock, subject).await;
        }
        let (bus, stop) =
            (Bus::open(&BusUrl::Memory, RetrySteps::default()), CancellationToken::new());
        let (told, left) = (stop.clone(), AtomicU32::new(events));
        let times = Arc::new(std::sync::Mutex::new(Vec::new()));
        let handler: Handler = Arc::new({
            let times = times.clone();
            move |_| {
                times.lock().unwrap().push(Instant::now());
                if left.fetch_sub(1, Ordering::SeqCst) == 1 {
                    told.cancel();
                }
                Box::pin(async { Ok(()) })
            }
        });
        let _bound = bus.consume(QUEUE, handler, CancellationToken::new());
        let relaying = relay(&database, bus, &clock).run(stop);
        tokio::time::timeout(Duration::from_secs(60), relaying).await.expect("all are told");
        // Polls are no shorter than half of their span.
        let times = times.lock().unwrap();
        let mut pauses: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        pauses.sort_unstable();
        assert!(pauses[pauses.len() * 3 / 4] < POLL / 2, "they wait for polls: {pauses:?}");
    }

    #[tokio::test]
    async fn what_has_waited_too_long_is_not_published_and_put_back_while_its_lease_holds() {
        let folder = tempfile::tempdir().unwrap();
        let database = tables(&folder).await;
        let clock = Clock::Manual(kernel::ManualClock::at(Clock::System.now()));
        write(&database, &clock, clock.new_id()).await;
        // Nobody answers there, so that what is published comes again in a second.
        let url = BusUrl::parse("amqp://127.0.0.1:1").unwrap();
        let relay = relay(&database, Bus::open(&url, RetrySteps::default()), &clock);
        for (waited, is_published, is_put_back) in
            [(19, true, false), (21, false, true), (61, false, false)]
        {
            let rows = relay.claim().await.unwrap();
            assert_eq!(rows.len(), 1);
            let claimed = Instant::now().checked_sub(Duration::from_secs(waited)).unwrap();
            let bus_is_away = relay.publish(rows, claimed, &Semaphore::new(1)).await;
            assert_eq!(bus_is_away, is_published);
            let rows = relay.claim().await.unwrap();
            assert_eq!(rows.len(), usize::from(is_put_back), "it is due now");
            outbox::release(&database, clock.now()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_became_of_an_event_is_written_again_where_its_lease_is_long() {
        let folder = tempfile::tempdir().unwrap();
        let (database, clock) = (tables(&folder).await, Clock::System);
        write(&database, &clock, clock.new_id()).await;
        // It fails once, and remembers that it did.
        database
            .read()
            .execute_unprepared(
                "CREATE TABLE failures (id INTEGER);
                CREATE TRIGGER away BEFORE DELETE ON outbox WHEN NOT EXISTS (SELECT 1 FROM failures)
                BEGIN INSERT INTO failures VALUES (1); SELECT RAISE(FAIL, 'away'); END",
            )
            .await
            .unwrap();
        let bus = Bus::open(&BusUrl::Memory, RetrySteps::default());
        let handler: Handler = Arc::new(|_| Box::pin(async { Ok(()) }));
        let _bound = bus.consume(QUEUE, handler, CancellationToken::new());
        publish(&relay(&database, bus, &clock)).await;
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
        let relay = relay(&database, bus, &clock);
        for _ in 0..2 {
            assert!(!publish(&relay).await, "the bus is there");
        }
        let backlog = outbox::backlog(&database).await.unwrap();
        assert_eq!((backlog.waiting, backlog.refused), (1, 1));
        assert!(relay.claim().await.unwrap().is_empty(), "it waits for a while");
    }

    #[tokio::test]
    async fn what_found_no_queue_reaches_its_consumer_at_the_broker_with_all_attempts_left() {
        let folder = tempfile::tempdir().unwrap();
        let database = tables(&folder).await;
        let clock = Clock::Manual(kernel::ManualClock::at(Clock::System.now()));
        write(&database, &clock, clock.new_id()).await;
        for (url, attempt) in [("memory:", 2), ("amqp://127.0.0.1:1", 1)] {
            let bus = Bus::open(&BusUrl::parse(url).unwrap(), RetrySteps::default());
            let relay = relay(&database, bus, &clock);
            let mut row =
                outbox::claim(&relay.database, relay.clock.now(), LEASE, 1).await.unwrap();
            let row = row.pop().expect("an event");
            assert_eq!(
                relay.message(&outbox::Model { attempts: 1, ..row.clone() }).attempt,
                attempt
            );
            outbox::postpone(&relay.database, &[row.id], relay.clock.now()).await.unwrap();
        }
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
