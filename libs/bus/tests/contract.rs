//! One contract for both buses. A publisher repeats what was not confirmed, as the relay does.

mod proxy;
mod rabbitmq;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use bus::{
    Bus, BusUrl, DeadLetter, DeadLetterHandler, Ground, Handler, Message, PublishError, Queue,
    Refusal, RetrySteps,
};
use kernel::{Clock, Uuid};
use testkit::{DeadLetters, eventually, servers};
use tokio_util::sync::CancellationToken;

macro_rules! on_both_buses {
    ($($name:ident),* $(,)?) => {
        mod in_process {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::open(&super::BusUrl::Memory)).await;
            })*
        }
        mod on_rabbitmq {
            $(#[tokio::test]
            async fn $name() {
                let url = super::BusUrl::RabbitMq(testkit::servers::rabbitmq().await);
                super::$name(super::open(&url)).await;
            })*
        }
    };
}

on_both_buses!(
    a_message_reaches_every_bound_queue_as_it_was,
    consumers_of_one_queue_share_the_work,
    what_nobody_is_bound_to_is_not_confirmed,
    one_unroutable_message_in_a_batch_is_told_from_its_neighbours,
    what_need_not_arrive_is_confirmed_without_a_queue,
    what_need_not_arrive_reaches_those_who_listen,
    a_refused_message_comes_again_and_counts_its_attempts,
    a_message_whose_turn_it_is_not_comes_again_and_keeps_its_attempts,
    a_rejected_message_is_kept_with_its_ground_and_its_neighbour_arrives,
    what_is_retried_in_vain_is_kept_with_its_last_error,
    a_consumer_that_counts_for_itself_is_believed,
    a_dead_letter_that_is_not_kept_comes_again,
    a_replayed_message_reaches_its_one_queue,
    no_more_are_handled_at_once_than_the_queue_allows,
    what_has_begun_is_finished_at_a_stop,
);

fn open(url: &BusUrl) -> Bus {
    Bus::open(url, RetrySteps([50; 5].map(Duration::from_millis).to_vec()))
}

const LEFT: Queue = Queue { name: "test.left", bindings: &["test.told.v1"], concurrency: 4 };
const RIGHT: Queue =
    Queue { name: "test.right", bindings: &["test.told.v1", "test.other.v1"], concurrency: 4 };

fn message(routing_key: &str) -> Message {
    Message {
        id: Clock::System.new_id(),
        routing_key: routing_key.to_owned(),
        source: "usher/test".to_owned(),
        subject: Clock::System.new_id(),
        time: Clock::System.now(),
        payload: b"\x00payload\xff".to_vec(),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        attempt: 1,
        must_arrive: true,
        queue: None,
        redelivered: false,
    }
}

/// A consumer that runs until the test ends.
struct Running {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn start(bus: &Bus, queue: Queue, handler: Handler) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(bus.consume(queue, handler, stop.clone()));
        Self { stop, task }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Message>>>);

impl Kept {
    fn handler(&self) -> Handler {
        let kept = self.clone();
        Arc::new(move |message| {
            let kept = kept.clone();
            Box::pin(async move {
                kept.0.lock().unwrap().push(message);
                Ok(())
            })
        })
    }

    fn ids(&self) -> Vec<Uuid> {
        let mut ids: Vec<_> = self.0.lock().unwrap().iter().map(|message| message.id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

/// Publishes until it is confirmed, or was set aside; the relay counts attempts likewise.
async fn publish(bus: &Bus, message: &Message) {
    let attempts = AtomicU32::new(0);
    eventually("the message is confirmed", async || {
        let attempt = attempts.fetch_add(1, Ordering::SeqCst) + 1;
        let again = match bus {
            Bus::Memory(_) => Message { attempt, ..message.clone() },
            Bus::RabbitMq(_) => message.clone(),
        };
        match bus.publish(vec![again]).await.remove(0) {
            Ok(()) => Some(()),
            // As the relay does: it was no attempt.
            Err(PublishError::Later(..)) => {
                attempts.fetch_sub(1, Ordering::SeqCst);
                None
            }
            Err(_) => None,
        }
    })
    .await;
}

async fn a_message_reaches_every_bound_queue_as_it_was(bus: Bus) {
    let (left, right) = (Kept::default(), Kept::default());
    let _left = Running::start(&bus, LEFT, left.handler());
    let _right = Running::start(&bus, RIGHT, right.handler());
    let other = message("test.other.v1");
    publish(&bus, &other).await;
    // Both queues are declared when this one has reached both.
    let told = message("test.told.v1");
    eventually("both have it", async || {
        publish(&bus, &told).await;
        (left.ids() == [told.id] && right.ids().contains(&told.id)).then_some(())
    })
    .await;
    eventually("the other has arrived", async || right.ids().contains(&other.id).then_some(()))
        .await;
    assert_eq!(left.ids(), [told.id], "it is not bound to the other");
    assert_eq!(left.0.lock().unwrap()[0], told);
}

async fn consumers_of_one_queue_share_the_work(bus: Bus) {
    let (one, two) = (Kept::default(), Kept::default());
    let _one = Running::start(&bus, LEFT, one.handler());
    let _two = Running::start(&bus, LEFT, two.handler());
    publish(&bus, &message("test.told.v1")).await;
    let messages: Vec<_> = (0..50).map(|_| message("test.told.v1")).collect();
    let answers = bus.publish(messages.clone()).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    eventually("all are handled", async || {
        let handled = one.0.lock().unwrap().len() + two.0.lock().unwrap().len();
        (handled >= 51).then_some(())
    })
    .await;
    let mut ids = [one.ids(), two.ids()].concat();
    ids.sort_unstable();
    let all = ids.len();
    ids.dedup();
    assert_eq!((all, ids.len()), (51, 51), "each was handled once");
}

async fn what_nobody_is_bound_to_is_not_confirmed(bus: Bus) {
    let answers = bus.publish(vec![message("test.unknown.v1")]).await;
    assert_eq!(answers, [Err(PublishError::Unroutable("test.unknown.v1".to_owned()))]);
}

async fn one_unroutable_message_in_a_batch_is_told_from_its_neighbours(bus: Bus) {
    let kept = Kept::default();
    let _running = Running::start(&bus, LEFT, kept.handler());
    publish(&bus, &message("test.told.v1")).await;
    for lost in [0, 7, 29] {
        let key = |index| if index == lost { "test.unknown.v1" } else { "test.told.v1" };
        let batch: Vec<_> = (0..30).map(|index| message(key(index))).collect();
        let answers = bus.publish(batch).await;
        for (index, answer) in answers.iter().enumerate() {
            assert_eq!(answer.is_err(), index == lost, "{index}: {answer:?}");
        }
    }
}

async fn what_need_not_arrive_is_confirmed_without_a_queue(bus: Bus) {
    let announced = Message { must_arrive: false, ..message("test.unknown.v1") };
    let lost = message("test.unknown.v1");
    let answers = bus.publish(vec![announced.clone(), lost, announced]).await;
    let unroutable = Err(PublishError::Unroutable("test.unknown.v1".to_owned()));
    assert_eq!(answers, [Ok(()), unroutable, Ok(())]);
}

async fn what_need_not_arrive_reaches_those_who_listen(bus: Bus) {
    let kept = Kept::default();
    let _running = Running::start(&bus, LEFT, kept.handler());
    // The queue is declared when this one has reached it.
    publish(&bus, &message("test.told.v1")).await;
    let announced = Message { must_arrive: false, ..message("test.told.v1") };
    publish(&bus, &announced).await;
    let heard = eventually("it is heard", async || {
        kept.0.lock().unwrap().iter().find(|heard| heard.id == announced.id).cloned()
    })
    .await;
    assert_eq!(heard, Message { must_arrive: true, ..announced });
}

async fn a_refused_message_comes_again_and_counts_its_attempts(bus: Bus) {
    let attempts = Arc::new(Mutex::new(Vec::new()));
    let seen = attempts.clone();
    let handler: Handler = Arc::new(move |message| {
        seen.lock().unwrap().push(message.attempt);
        let refused = message.attempt < 3;
        Box::pin(
            async move { if refused { Err(Refusal::Retry("not yet".to_owned())) } else { Ok(()) } },
        )
    });
    let _running = Running::start(&bus, LEFT, handler);
    publish(&bus, &message("test.told.v1")).await;
    eventually("the third attempt", async || attempts.lock().unwrap().contains(&3).then_some(()))
        .await;
    assert_eq!(*attempts.lock().unwrap(), [1, 2, 3]);
}

async fn a_message_whose_turn_it_is_not_comes_again_and_keeps_its_attempts(bus: Bus) {
    let attempts = Arc::new(Mutex::new(Vec::new()));
    let seen = attempts.clone();
    // More often than there are attempts.
    let handler: Handler = Arc::new(move |message| {
        let mut seen = seen.lock().unwrap();
        seen.push(message.attempt);
        let later = Refusal::Later(Duration::from_millis(70), "not yet".to_owned());
        let answer = if seen.len() < 10 { Err(later) } else { Ok(()) };
        Box::pin(async { answer })
    });
    let _running = Running::start(&bus, LEFT, handler);
    publish(&bus, &message("test.told.v1")).await;
    eventually("its turn", async || (attempts.lock().unwrap().len() == 10).then_some(())).await;
    assert_eq!(*attempts.lock().unwrap(), [1; 10]);
}

async fn a_rejected_message_is_kept_with_its_ground_and_its_neighbour_arrives(bus: Bus) {
    let dead_letters = DeadLetters::keep(&bus);
    let seen = Arc::new(AtomicU32::new(0));
    let (poison, count) = (message("test.told.v1"), seen.clone());
    let id = poison.id;
    let kept = Kept::default();
    let keep = kept.handler();
    let handler: Handler = Arc::new(move |message| {
        if message.id != id {
            return keep(message);
        }
        count.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Err(Refusal::Reject("never".to_owned())) })
    });
    let _running = Running::start(&bus, LEFT, handler);
    publish(&bus, &poison).await;
    let neighbour = message("test.told.v1");
    publish(&bus, &neighbour).await;
    eventually("the neighbour", async || kept.ids().contains(&neighbour.id).then_some(())).await;
    let dead = eventually("it is kept", async || dead_letters.all().pop()).await;
    let expected = DeadLetter {
        queue: LEFT.name.to_owned(),
        ground: Ground::Rejected,
        error: "never".to_owned(),
        message: Ok(poison),
    };
    assert_eq!(dead, expected);
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

async fn what_is_retried_in_vain_is_kept_with_its_last_error(bus: Bus) {
    let dead_letters = DeadLetters::keep(&bus);
    let handler: Handler = Arc::new(move |message| {
        let why = format!("attempt {}", message.attempt);
        Box::pin(async { Err(Refusal::Retry(why)) })
    });
    let _running = Running::start(&bus, LEFT, handler);
    let told = message("test.told.v1");
    publish(&bus, &told).await;
    let dead = eventually("it is kept", async || dead_letters.all().pop()).await;
    assert_eq!((dead.ground, dead.error.as_str()), (Ground::Exhausted, "attempt 6"));
    let message = dead.message.expect("a message of ours");
    assert_eq!((message.id, message.attempt), (told.id, 6), "five steps, and one try more");
}

async fn a_consumer_that_counts_for_itself_is_believed(bus: Bus) {
    let dead_letters = DeadLetters::keep(&bus);
    let handler: Handler = Arc::new(|message| {
        assert_eq!(message.attempt, 1);
        Box::pin(async { Err(Refusal::Counted(6, "in vain".to_owned())) })
    });
    let _running = Running::start(&bus, LEFT, handler);
    publish(&bus, &message("test.told.v1")).await;
    let dead = eventually("it is kept", async || dead_letters.all().pop()).await;
    assert_eq!((dead.ground, dead.error.as_str()), (Ground::Exhausted, "in vain"));
    assert_eq!(dead.message.expect("a message of ours").attempt, 6);
}

async fn a_dead_letter_that_is_not_kept_comes_again(bus: Bus) {
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    let keeper: DeadLetterHandler = Arc::new(move |_| {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        Box::pin(async move { if first { Err("the database is away".to_owned()) } else { Ok(()) } })
    });
    tokio::spawn(bus.keep_dead_letters(keeper, CancellationToken::new()));
    let handler: Handler =
        Arc::new(|_| Box::pin(async { Err(Refusal::Reject("never".to_owned())) }));
    let _running = Running::start(&bus, LEFT, handler);
    publish(&bus, &message("test.told.v1")).await;
    eventually("it came twice", async || (asked.load(Ordering::SeqCst) == 2).then_some(())).await;
}

async fn a_replayed_message_reaches_its_one_queue(bus: Bus) {
    let (left, right) = (Kept::default(), Kept::default());
    let _left = Running::start(&bus, LEFT, left.handler());
    let _right = Running::start(&bus, RIGHT, right.handler());
    let both = message("test.told.v1");
    eventually("both queues are there", async || {
        publish(&bus, &both).await;
        (left.ids() == [both.id] && right.ids() == [both.id]).then_some(())
    })
    .await;
    let replayed = Message { queue: Some(RIGHT.name.to_owned()), ..message("test.told.v1") };
    publish(&bus, &replayed).await;
    eventually("it arrives", async || right.ids().contains(&replayed.id).then_some(())).await;
    let heard = right.0.lock().unwrap().last().cloned();
    assert_eq!(heard.as_ref(), Some(&replayed), "its consumer sees that it is replayed");
    // What was published after it has arrived, and it has not.
    let marker = message("test.told.v1");
    publish(&bus, &marker).await;
    eventually("the marker", async || left.ids().contains(&marker.id).then_some(())).await;
    assert!(!left.ids().contains(&replayed.id));

    let nowhere = Message { queue: Some("test.nowhere".to_owned()), ..message("test.told.v1") };
    let answers = bus.publish(vec![nowhere]).await;
    assert!(matches!(answers[..], [Err(PublishError::Unroutable(_))]), "{answers:?}");
}

async fn no_more_are_handled_at_once_than_the_queue_allows(bus: Bus) {
    let (now, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let kept = Kept::default();
    let (at_once, peak, keep) = (now.clone(), most.clone(), kept.handler());
    let handler: Handler = Arc::new(move |message| {
        let (at_once, peak, kept) = (at_once.clone(), peak.clone(), keep(message));
        Box::pin(async move {
            peak.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            at_once.fetch_sub(1, Ordering::SeqCst);
            kept.await
        })
    });
    let _running = Running::start(&bus, LEFT, handler);
    publish(&bus, &message("test.told.v1")).await;
    let batch: Vec<_> = (0..60).map(|_| message("test.told.v1")).collect();
    bus.publish(batch).await;
    eventually("all are handled", async || (kept.ids().len() == 61).then_some(())).await;
    let most = most.load(Ordering::SeqCst);
    assert!((2..=4).contains(&most), "{most} at once");
}

async fn what_has_begun_is_finished_at_a_stop(bus: Bus) {
    let (begun, finish) = (Arc::new(AtomicBool::new(false)), CancellationToken::new());
    let kept = Kept::default();
    let (started, finished, keep) = (begun.clone(), finish.clone(), kept.handler());
    let handler: Handler = Arc::new(move |message| {
        let (started, finished, kept) = (started.clone(), finished.clone(), keep(message));
        Box::pin(async move {
            started.store(true, Ordering::SeqCst);
            finished.cancelled().await;
            kept.await
        })
    });
    let running = Running::start(&bus, LEFT, handler);
    let publishing = {
        let (bus, message) = (bus.clone(), message("test.told.v1"));
        tokio::spawn(async move { publish(&bus, &message).await })
    };
    eventually("it has begun", async || begun.load(Ordering::SeqCst).then_some(())).await;
    running.stop.cancel();
    tokio::task::yield_now().await;
    assert!(!running.task.is_finished(), "it waits for what has begun");
    finish.cancel();
    eventually("it has stopped", async || running.task.is_finished().then_some(())).await;
    assert_eq!(kept.ids().len(), 1);
    publishing.await.unwrap();
}

#[tokio::test]
async fn on_rabbitmq_a_queue_that_was_declared_otherwise_is_told_and_goes_on_once_it_is_gone() {
    let url = servers::rabbitmq().await;
    let connection = lapin::Connection::connect(&url, Default::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let options = lapin::options::QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare(LEFT.name.into(), options, Default::default()).await.unwrap();

    let bus = open(&BusUrl::RabbitMq(url));
    let kept = Kept::default();
    let _running = Running::start(&bus, LEFT, kept.handler());
    let obstacle = eventually("it is told", async || bus.obstacle()).await;
    assert!(obstacle.contains(LEFT.name), "{obstacle}");
    channel.queue_delete(LEFT.name.into(), Default::default()).await.unwrap();
    eventually("it consumes", async || {
        publish(&bus, &message("test.told.v1")).await;
        (!kept.ids().is_empty()).then_some(())
    })
    .await;
    assert_eq!(bus.obstacle(), None);
}

#[tokio::test]
async fn on_rabbitmq_what_was_no_message_of_ours_is_kept_as_it_was() {
    let url = servers::rabbitmq().await;
    let bus = open(&BusUrl::RabbitMq(url.clone()));
    let (kept, dead_letters) = (Kept::default(), DeadLetters::keep(&bus));
    let _running = Running::start(&bus, LEFT, kept.handler());
    publish(&bus, &message("test.told.v1")).await;
    let connection = lapin::Connection::connect(&url, Default::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let (queue, options) = (LEFT.name.into(), Default::default());
    let noise = channel.basic_publish("".into(), queue, options, b"noise", Default::default());
    noise.await.unwrap().await.unwrap();
    let dead = eventually("it is kept", async || dead_letters.all().pop()).await;
    assert_eq!((dead.ground, dead.message), (Ground::Unreadable, Err(b"noise".to_vec())));
    assert_eq!(dead.queue, LEFT.name);
}

#[tokio::test]
async fn on_rabbitmq_what_makes_its_consumer_crash_is_kept_with_its_queue() {
    let url = servers::rabbitmq().await;
    let bus = open(&BusUrl::RabbitMq(url.clone()));
    let (kept, dead_letters) = (Kept::default(), DeadLetters::keep(&bus));
    let running = Running::start(&bus, LEFT, kept.handler());
    publish(&bus, &message("test.told.v1")).await;
    eventually("the queue is there", async || (!kept.ids().is_empty()).then_some(())).await;
    running.stop.cancel();
    eventually("it has stopped", async || running.task.is_finished().then_some(())).await;

    // A consumer that takes the message and is gone, again and again.
    let told = message("test.told.v1");
    publish(&bus, &told).await;
    let connection = lapin::Connection::connect(&url, Default::default()).await.unwrap();
    let dead = eventually("it is kept", async || {
        let channel = connection.create_channel().await.unwrap();
        let taken = channel.basic_get(LEFT.name.into(), Default::default()).await.unwrap();
        drop(taken);
        channel.close(200, "gone".into()).await.unwrap();
        dead_letters.all().pop()
    })
    .await;
    assert_eq!((dead.ground, dead.queue.as_str()), (Ground::DeliveryLimit, LEFT.name));
    assert_eq!(dead.message.map(|message| message.id), Ok(told.id));
}
