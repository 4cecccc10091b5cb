//! A consumer's attempts are counted in its database, and not by whoever brings the message.

use std::sync::{Arc, Mutex};

use bus::{Ground, Message, PublishError, Queue, Refusal};
use db::Database;
use kernel::{Duration, Uuid};
use sea_orm_migration::{MigrationTrait, MigratorTrait};
use service::{Consumer, Module};
use testkit::{Bench, Served, eventually};

testkit::on_both_databases!(
    a_bus_that_lost_its_count_gives_nobody_more_attempts,
    a_replay_begins_anew_and_is_given_up_again,
    what_was_rejected_begins_anew_when_it_is_replayed,
    what_is_long_over_is_forgotten,
);

struct Tables;

impl MigratorTrait for Tables {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(db::migration::Messaging),
            Box::new(db::migration::Announcements),
            Box::new(db::migration::Order),
            Box::new(db::migration::Attempts),
        ]
    }
}

const QUEUE: Queue = Queue { name: "test.told", bindings: &["test.told.v1"], concurrency: 8 };
/// One try and seven retries.
const ATTEMPTS: usize = 8;

struct Scene {
    bench: Bench,
    database: Database,
    answer: Arc<Mutex<Result<(), Refusal>>>,
    _served: Served,
}

impl Scene {
    async fn set(bench: Bench) -> Self {
        let database = bench.infra.database("test").await.unwrap();
        db::migration::migrate::<Tables>(&database).await.unwrap();
        let answer = Arc::new(Mutex::new(Err(Refusal::Retry("not\nyet".to_owned()))));
        let told = answer.clone();
        let consumer = Consumer::new(QUEUE, move |_| {
            let answer = told.lock().unwrap().clone();
            async move { answer }
        });
        let module = Module {
            consumers: vec![consumer],
            database: Some(database.clone()),
            ..Module::new("test")
        };
        let served = bench.serve(module).await;
        let scene = Self { bench, database, answer, _served: served };
        let first = scene.message();
        eventually("the queue is bound", async || {
            let unbound = Err(PublishError::Unroutable("test.told.v1".to_owned()));
            (scene.bring(&first).await != unbound).then_some(())
        })
        .await;
        scene
    }

    fn message(&self) -> Message {
        Message {
            id: self.bench.infra.clock.new_id(),
            routing_key: "test.told.v1".to_owned(),
            source: "usher/test".to_owned(),
            subject: Uuid::nil(),
            time: self.bench.infra.clock.now(),
            payload: Vec::new(),
            traceparent: None,
            // Whoever brings it believes that it is the first time, at any time.
            attempt: 1,
            queue: None,
            redelivered: false,
            must_arrive: true,
        }
    }

    async fn bring(&self, message: &Message) -> Result<(), PublishError> {
        self.bench.infra.bus.publish(vec![message.clone()]).await.remove(0)
    }

    /// Brings it until it is given up; how often that took, and the ground.
    async fn exhaust(&self, message: &Message) -> (usize, Ground) {
        for attempt in 1..=20 {
            let before = self.bench.dead_letters.all().len();
            let answer = self.bring(message).await;
            if self.bench.dead_letters.all().len() > before {
                assert_eq!(answer, Ok(()));
                let dead = self.bench.dead_letters.all().pop().unwrap();
                let told = dead.message.unwrap();
                assert_eq!((told.id, dead.queue.as_str()), (message.id, QUEUE.name));
                assert_eq!(usize::try_from(told.attempt).unwrap(), attempt, "it tells the truth");
                return (attempt, dead.ground);
            }
            assert_eq!(answer, Err(PublishError::Refused("not\nyet".to_owned())));
        }
        panic!("it is never given up");
    }
}

async fn a_bus_that_lost_its_count_gives_nobody_more_attempts(bench: Bench) {
    let scene = Scene::set(bench).await;
    let (one, other) = (scene.message(), scene.message());
    for _ in 0..3 {
        scene.bring(&other).await.unwrap_err();
    }
    assert_eq!(scene.exhaust(&one).await, (ATTEMPTS, Ground::Exhausted));
    // A late copy of it gets one more, and its neighbour those that it has left.
    scene.bring(&one).await.unwrap();
    assert_eq!(scene.bench.dead_letters.all().len(), 2);
    for _ in 4..ATTEMPTS {
        scene.bring(&other).await.unwrap_err();
    }
    scene.bring(&other).await.unwrap();
    assert_eq!(scene.bench.dead_letters.all().len(), 3);
}

async fn a_replay_begins_anew_and_is_given_up_again(bench: Bench) {
    let scene = Scene::set(bench).await;
    let message = scene.message();
    scene.exhaust(&message).await;
    let replayed = Message { queue: Some(QUEUE.name.to_owned()), ..message };
    for _ in 0..2 {
        assert_eq!(scene.exhaust(&replayed).await, (ATTEMPTS, Ground::Exhausted));
    }
    *scene.answer.lock().unwrap() = Ok(());
    scene.bring(&replayed).await.unwrap();
    assert_eq!(scene.bench.dead_letters.all().len(), 3);
}

async fn what_was_rejected_begins_anew_when_it_is_replayed(bench: Bench) {
    let scene = Scene::set(bench).await;
    let message = scene.message();
    scene.bring(&message).await.unwrap_err();
    *scene.answer.lock().unwrap() = Err(Refusal::Reject("never".to_owned()));
    scene.bring(&message).await.unwrap();
    assert_eq!(scene.bench.dead_letters.all().pop().unwrap().ground, Ground::Rejected);
    *scene.answer.lock().unwrap() = Err(Refusal::Retry("not\nyet".to_owned()));
    let replayed = Message { queue: Some(QUEUE.name.to_owned()), ..message };
    assert_eq!(scene.exhaust(&replayed).await, (ATTEMPTS, Ground::Exhausted));
}

async fn what_is_long_over_is_forgotten(bench: Bench) {
    let scene = Scene::set(bench).await;
    let message = scene.message();
    for _ in 1..ATTEMPTS {
        scene.bring(&message).await.unwrap_err();
    }
    let refused_at = scene.bench.infra.clock.now();
    db::attempts::prune(&scene.database, refused_at).await.unwrap();
    scene.bring(&message).await.expect("its last attempt");
    db::attempts::prune(&scene.database, refused_at + Duration::seconds(1)).await.unwrap();
    scene.bring(&message).await.expect_err("as if for the first time");
}
