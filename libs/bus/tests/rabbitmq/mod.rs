//! What only a broker does: it is lost, does not answer, or takes nothing, and it keeps queues.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use super::*;
use crate::proxy::{BLOCKED, Proxy, UNBLOCKED};

const STOP: &[u8] = b"the proxy stops here";

async fn broker() -> String {
    servers::rabbitmq().await
}

fn bus(url: &str) -> Bus {
    open(&BusUrl::RabbitMq(url.to_owned()))
}

async fn channel(url: &str) -> lapin::Channel {
    let connection = lapin::Connection::connect(url, Default::default()).await.unwrap();
    connection.create_channel().await.unwrap()
}

/// What a handler was given: which message, at which attempt, and whether it was handed out before.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<(Uuid, u32, bool)>>>);

impl Seen {
    fn note(&self, message: &Message) {
        self.0.lock().unwrap().push((message.id, message.attempt, message.redelivered));
    }

    fn of(&self, message: &Message) -> Vec<(u32, bool)> {
        let seen = self.0.lock().unwrap();
        let of_it = seen.iter().filter(|(id, ..)| *id == message.id);
        of_it.map(|(_, attempt, redelivered)| (*attempt, *redelivered)).collect()
    }

    async fn wait_for(&self, message: &Message, expected: &[(u32, bool)]) {
        eventually(&format!("it is seen as {expected:?}"), async || {
            (self.of(message) == expected).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_message_that_takes_long_does_not_keep_others_from_the_next_connection() {
    let url = broker().await;
    let proxy = Proxy::start(&url).await;
    let publisher = bus(&url);
    let (slow, refused) = (message("test.told.v1"), message("test.told.v1"));
    let (seen, finish) = (Seen::default(), CancellationToken::new());
    let has_ended = Arc::new(AtomicBool::new(false));
    let handler: Handler = {
        let (seen, finish, has_ended) = (seen.clone(), finish.clone(), has_ended.clone());
        let (slow, refused) = (slow.id, refused.id);
        Arc::new(move |message| {
            seen.note(&message);
            let (finish, has_ended) = (finish.clone(), has_ended.clone());
            Box::pin(async move {
                if message.id == slow && !message.redelivered {
                    finish.cancelled().await;
                    has_ended.store(true, Ordering::SeqCst);
                    return Err(Refusal::Retry("too late".to_owned()));
                }
                match message.id == refused && message.attempt == 1 {
                    true => Err(Refusal::Retry("not yet".to_owned())),
                    false => Ok(()),
                }
            })
        })
    };
    let _running = Running::start(&bus(&proxy.url), LEFT, handler);
    publish(&publisher, &slow).await;
    seen.wait_for(&slow, &[(1, false)]).await;

    proxy.cut();
    let other = message("test.told.v1");
    publish(&publisher, &other).await;
    // The broker may have handed it out once more on the connection that was cut.
    eventually("the other is seen", async || seen.of(&other).pop()).await;
    seen.wait_for(&slow, &[(1, false), (1, true)]).await;

    // Its connection is gone, and it has come again: to be retried besides would make two of it. What
    // is refused after it, and comes again, would come after it.
    finish.cancel();
    eventually("it has ended", async || has_ended.load(Ordering::SeqCst).then_some(())).await;
    publish(&publisher, &refused).await;
    seen.wait_for(&refused, &[(1, false), (2, false)]).await;
    assert_eq!(seen.of(&slow), [(1, false), (1, true)]);
}

#[tokio::test]
async fn no_more_are_handled_at_once_than_the_queue_allows_over_all_connections() {
    let url = broker().await;
    let proxy = Proxy::start(&url).await;
    let publisher = bus(&url);
    let (slow, seen, kept) = (message("test.told.v1"), Seen::default(), Kept::default());
    let (now, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let handler: Handler = {
        let (slow, seen, keep) = (slow.id, seen.clone(), kept.handler());
        let most = most.clone();
        Arc::new(move |message| {
            seen.note(&message);
            let is_slow = message.id == slow && !message.redelivered;
            let (now, most, kept) = (now.clone(), most.clone(), keep(message));
            Box::pin(async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                if is_slow {
                    std::future::pending().await
                }
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
                now.fetch_sub(1, Ordering::SeqCst);
                kept.await
            })
        })
    };
    let _running = Running::start(&bus(&proxy.url), LEFT, handler);
    publish(&publisher, &slow).await;
    seen.wait_for(&slow, &[(1, false)]).await;
    proxy.cut();
    let batch: Vec<_> = (0..60).map(|_| message("test.told.v1")).collect();
    let answers = publisher.publish(batch).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    eventually("all are handled", async || (kept.ids().len() == 61).then_some(())).await;
    let most = most.load(Ordering::SeqCst);
    assert!((2..=4).contains(&most), "{most} at once");
}

#[tokio::test]
async fn a_handler_that_panics_ends_its_consumer() {
    let bus = bus(&broker().await);
    let mut running =
        Running::start(&bus, LEFT, Arc::new(|_| Box::pin(async { panic!("as a test expects") })));
    publish(&bus, &message("test.told.v1")).await;
    eventually("it has ended", async || running.task.is_finished().then_some(())).await;
    assert!((&mut running.task).await.unwrap_err().is_panic());
}

#[tokio::test]
async fn what_is_confirmed_counts_though_the_rest_is_late() {
    let url = broker().await;
    let proxy = Proxy::start(&url).await;
    let bus = bus(&proxy.url);
    let _running = Running::start(&self::bus(&url), LEFT, Kept::default().handler());
    publish(&bus, &message("test.told.v1")).await;
    for (round, unknown) in [(1, None), (2, Some(5))] {
        let batch: Vec<_> = (0..30)
            .map(|index| match index {
                20 => Message { payload: STOP.to_vec(), ..message("test.told.v1") },
                _ if Some(index) == unknown => message("test.unknown.v1"),
                _ => message("test.told.v1"),
            })
            .collect();
        proxy.stop_at(STOP);
        let answers = bus.publish(batch.clone()).await;
        let mut late = 0;
        for (index, answer) in answers.iter().enumerate() {
            let is_late = matches!(answer, Err(PublishError::Unavailable(_)));
            late += usize::from(index < 20 && is_late);
            let is_as_expected = match index {
                _ if Some(index) == unknown => matches!(answer, Err(PublishError::Unroutable(_))),
                0..20 => answer.is_ok() || is_late,
                _ => is_late,
            };
            assert!(is_as_expected, "{index}: {answer:?}");
        }
        // What is returned lapin gives to any that waits, whose own answer nobody can tell then.
        assert!(late <= usize::from(unknown.is_some()), "{answers:?}");
        // What confirms the late ones after all confirms nothing else.
        let answers = bus.publish(batch[20..].to_vec()).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        assert_eq!(proxy.connections(), 1 + round);
    }
}

#[tokio::test]
async fn a_broker_that_takes_nothing_is_not_available_and_gets_no_further_connections() {
    let url = broker().await;
    let proxy = Proxy::start(&url).await;
    let bus = bus(&proxy.url);
    let _running = Running::start(&self::bus(&url), LEFT, Kept::default().handler());
    publish(&bus, &message("test.told.v1")).await;
    proxy.stop_at(STOP);
    let stopped = Message { payload: STOP.to_vec(), ..message("test.told.v1") };
    let publishing = {
        let (bus, stopped) = (bus.clone(), stopped.clone());
        tokio::spawn(async move { bus.publish(vec![stopped]).await })
    };
    eventually("the broker reads no more", async || proxy.has_stopped().then_some(())).await;
    proxy.say(BLOCKED);
    let answers = publishing.await.unwrap();
    assert!(matches!(answers[..], [Err(PublishError::Unavailable(_))]), "{answers:?}");

    assert!(!bus.is_available().await);
    let begun = Instant::now();
    for _ in 0..3 {
        let answers = bus.publish(vec![stopped.clone()]).await;
        assert!(matches!(answers[..], [Err(PublishError::Unavailable(_))]), "{answers:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "it is answered at once");
    assert_eq!(proxy.connections(), 1);

    proxy.say(UNBLOCKED);
    eventually("it takes messages again", async || bus.is_available().await.then_some(())).await;
    assert_eq!(bus.publish(vec![stopped]).await, [Ok(())]);
    assert_eq!(proxy.connections(), 2, "what was broken off may still be confirmed over the first");
}

#[tokio::test]
async fn a_retry_that_the_broker_does_not_take_holds_up_no_other_message() {
    let url = broker().await;
    let proxy = Proxy::start(&url).await;
    let publisher = bus(&url);
    let poison = Message { payload: STOP.to_vec(), ..message("test.told.v1") };
    let seen = Seen::default();
    let handler: Handler = {
        let (seen, poison) = (seen.clone(), poison.id);
        Arc::new(move |message| {
            seen.note(&message);
            let refuses = message.id == poison && message.attempt == 1;
            Box::pin(async move {
                if refuses { Err(Refusal::Retry("not yet".to_owned())) } else { Ok(()) }
            })
        })
    };
    let _running = Running::start(&bus(&proxy.url), LEFT, handler);
    proxy.stop_at(STOP);
    publish(&publisher, &poison).await;
    eventually("its retry is not taken", async || proxy.has_stopped().then_some(())).await;
    // More than are handed out without an answer.
    let others: Vec<_> = (0..20).map(|_| message("test.told.v1")).collect();
    assert_eq!(publisher.publish(others.clone()).await, [const { Ok(()) }; 20]);
    for other in &others {
        seen.wait_for(other, &[(1, false)]).await;
    }
    assert_eq!(seen.of(&poison), [(1, false)]);
    seen.wait_for(&poison, &[(1, false), (2, false)]).await;
}

#[tokio::test]
async fn a_refused_message_is_held_while_its_delay_queue_is_gone() {
    let url = broker().await;
    let bus = bus(&url);
    let (told, seen) = (message("test.told.v1"), Seen::default());
    let handler: Handler = {
        let (seen, told) = (seen.clone(), told.id);
        Arc::new(move |message| {
            seen.note(&message);
            let refuses = message.id == told && message.attempt == 1;
            Box::pin(async move {
                if refuses { Err(Refusal::Retry("not yet".to_owned())) } else { Ok(()) }
            })
        })
    };
    let _running = Running::start(&bus, LEFT, handler.clone());
    publish(&bus, &message("test.told.v1")).await;
    let retries = "test.left.retry.50ms".into();
    channel(&url).await.queue_delete(retries, Default::default()).await.unwrap();
    publish(&bus, &told).await;
    seen.wait_for(&told, &[(1, false)]).await;
    // It declares the delay queue anew.
    let _another = Running::start(&bus, LEFT, handler);
    seen.wait_for(&told, &[(1, false), (2, false)]).await;
}

#[tokio::test]
async fn a_dead_letter_that_cannot_be_kept_yet_is_not_handed_out_again() {
    let bus = bus(&broker().await);
    let seen = Seen::default();
    let keeper: DeadLetterHandler = {
        let seen = seen.clone();
        Arc::new(move |dead| {
            seen.note(&dead.message.unwrap());
            let is_away = seen.0.lock().unwrap().len() < 4;
            Box::pin(async move {
                if is_away { Err("the database is away".to_owned()) } else { Ok(()) }
            })
        })
    };
    tokio::spawn(bus.keep_dead_letters(keeper, CancellationToken::new()));
    let handler: Handler =
        Arc::new(|_| Box::pin(async { Err(Refusal::Reject("never".to_owned())) }));
    let _running = Running::start(&bus, LEFT, handler);
    let told = message("test.told.v1");
    publish(&bus, &told).await;
    seen.wait_for(&told, &[(1, false); 4]).await;
}

#[tokio::test]
async fn what_was_declared_otherwise_is_named_whatever_it_is() {
    for name in ["usher.dead-letters", "test.left.retry.50ms", "usher.events"] {
        let url = broker().await;
        let channel = channel(&url).await;
        let (queue, exchange) = Default::default();
        let queue = lapin::options::QueueDeclareOptions { durable: true, ..queue };
        if name == "usher.events" {
            let kind = lapin::ExchangeKind::Fanout;
            let declared =
                channel.exchange_declare(name.into(), kind, exchange, Default::default());
            declared.await.unwrap();
        } else {
            channel.queue_declare(name.into(), queue, Default::default()).await.unwrap();
        }
        let bus = bus(&url);
        let _running = Running::start(&bus, LEFT, Kept::default().handler());
        let obstacle = eventually("it is told", async || bus.obstacle()).await;
        assert!(obstacle.starts_with(&format!("{name}: ")), "{obstacle}");
        assert!(!obstacle.contains("test.left:"), "{obstacle}");
        if name == "usher.events" {
            channel.exchange_delete(name.into(), Default::default()).await.unwrap();
        } else {
            channel.queue_delete(name.into(), Default::default()).await.unwrap();
        }
        eventually("it is told no more", async || bus.obstacle().is_none().then_some(())).await;
    }
}

#[tokio::test]
async fn no_queue_loses_what_it_has_taken() {
    let url = broker().await;
    let bus = bus(&url);
    let _running = Running::start(&bus, LEFT, Kept::default().handler());
    publish(&bus, &message("test.told.v1")).await;
    let (_, vhost) = url.rsplit_once('/').unwrap();
    let everywhere = [
        r#""x-queue-type":"quorum""#,
        r#""x-overflow":"reject-publish""#,
        r#""x-max-length":1000000"#,
    ];
    let dead_lettering = r#""x-dead-letter-strategy":"at-least-once""#;
    let of_each = [
        (
            "test.left",
            vec![
                dead_lettering,
                r#""x-dead-letter-exchange":"""#,
                r#""x-dead-letter-routing-key":"usher.dead-letters""#,
                r#""x-delivery-limit":20"#,
            ],
        ),
        (
            "test.left.retry.50ms",
            vec![
                dead_lettering,
                r#""x-dead-letter-exchange":"""#,
                r#""x-dead-letter-routing-key":"test.left""#,
                r#""x-message-ttl":50"#,
            ],
        ),
        ("usher.dead-letters", vec![]),
    ];
    for (queue, arguments) in of_each {
        let told = management(&format!("/api/queues/{vhost}/{queue}?columns=arguments")).await;
        for argument in everywhere.iter().chain(&arguments) {
            assert!(told.contains(argument), "{queue} has no {argument}: {told}");
        }
    }
}

/// What the broker's management tells.
async fn management(path: &str) -> String {
    let url = std::env::var("USHER_TEST_RABBITMQ_MANAGEMENT_URL").expect("the management's URL");
    let (_, host) = url.rsplit_once('@').expect("credentials in it");
    let mut stream = TcpStream::connect(host).await.unwrap();
    // guest:guest, as everywhere on the private servers.
    let ask = format!(
        "GET {path} HTTP/1.0\r\nhost: {host}\r\nauthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n\r\n"
    );
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
