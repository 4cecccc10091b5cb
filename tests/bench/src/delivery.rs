//! The relay beside a bare publish loop, and the mailer beside a bare sender of mail.

use std::{sync::Arc, thread::available_parallelism, time::Duration};

use anyhow::{Context as _, Result, ensure};
use api::organisation::v1::{
    CreateInvitationRequest, invitation_service_client::InvitationServiceClient,
};
use db::{Database, DatabaseUrl, outbox};
use faults::proxy::{Mode, Proxy};
use futures::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, FuturesUnordered},
};
use kernel::Clock;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{
        BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions, QueueDeclareOptions,
        QueuePurgeOptions,
    },
    types::{AMQPValue, FieldTable},
};
use sea_orm::{ConnectionTrait as _, Statement};
use service::RawSettings;
use stories::Platform;
use testkit::{SmtpSink, servers, with_token};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufStream},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, interval},
};

/// Events that go to the broker in a round, what each says, and how many are unconfirmed at once.
const EVENTS: usize = 50_000;
const PAYLOAD: [u8; 200] = [b'e'; 200];
const WINDOW: usize = 500;
/// The platform's exchange, and the queue that all of this is for, which is its routing key, too.
const EXCHANGE: &str = "usher.events";
const QUEUE: &str = "bench.events";
/// Mails that the mailer sends in a round.
const MAILS: usize = 5_000;
/// Connections of the bare sender, as many as the mailer has for prompt domains, and the mails over
/// each: all in all enough to keep it busy for more than a second.
const CONNECTIONS: usize = 24;
const MAILS_EACH: usize = 1_050;

/// Measures both, and prints a table.
pub async fn measure() -> Result<()> {
    println!("| what | rounds | a second | bare | ratio | lowest | highest |");
    println!("|---{}|", "|--:".repeat(6));
    relay().await?;
    mailer().await?;
    println!(
        "\nMedians of the rounds, and the lowest and the highest ratio of one. All share {} cores: \
         one process with the services, both clients and the mail server, and PostgreSQL and RabbitMQ \
         beside it. No time includes making events and invitations, or connecting the mailer.\n\n\
         The relay also claims and deletes each event in PostgreSQL, and gives it the headers of a \
         CloudEvent; its time is from the first events in the queue to the last. The loop's is from \
         the first publish to the last confirmation.\n\n\
         For each mail the mailer asks three services, and claims and records it in PostgreSQL; \
         meanwhile events go to it and from it through a proxy and RabbitMQ. Its time is from the \
         first arrival to the last, what was put off for 5 s or more included; or from the 5th \
         percentile of arrivals to the 95th. The bare sender repeats one finished mail {} times.",
        available_parallelism()?,
        CONNECTIONS * MAILS_EACH,
    );
    Ok(())
}

/// Measures both sides in an odd number of rounds, and prints a row for each of our rates.
async fn compare<const N: usize>(
    rows: [String; N],
    rounds: usize,
    mut ours: impl AsyncFnMut(usize) -> Result<[f64; N]>,
    mut bare: impl AsyncFnMut() -> Result<f64>,
) -> Result<()> {
    let mut measured = Vec::new();
    for round in 1..=rounds {
        // They take turns in being first: what one leaves behind is not always the other's.
        let (rates, best) = if round % 2 == 1 {
            (ours(round).await?, bare().await?)
        } else {
            let best = bare().await?;
            (ours(round).await?, best)
        };
        eprintln!("bench: {}, round {round}: {rates:.0?} a second, bare {best:.0}", rows[0]);
        measured.push(rates.map(|rate| [rate, best, rate / best]));
    }
    for (index, row) in rows.iter().enumerate() {
        let [rates, bests, ratios] = [0, 1, 2].map(|column| {
            let mut sorted: Vec<f64> = measured.iter().map(|round| round[index][column]).collect();
            sorted.sort_by(f64::total_cmp);
            sorted
        });
        let [rate, best, ratio] = [&rates, &bests, &ratios].map(|sorted| sorted[rounds / 2]);
        let (lowest, highest) = (ratios[0], ratios[rounds - 1]);
        println!(
            "| {row} | {rounds} | {rate:.0} | {best:.0} | {ratio:.3} | {lowest:.3} | {highest:.3} |"
        );
    }
    Ok(())
}

/// Waits until there are so many, however long it takes; how many there are, and when. It gives up
/// after ten minutes without one more: what is put off because a domain was slow takes five.
async fn until(
    goal: usize,
    mut count: impl AsyncFnMut() -> Result<usize>,
) -> Result<(usize, Instant)> {
    let mut look = interval(Duration::from_millis(10));
    let mut grown = (0, Instant::now());
    loop {
        look.tick().await;
        let now = (count().await?, Instant::now());
        if now.0 >= goal {
            return Ok(now);
        }
        if now.0 > grown.0 {
            grown = now;
        }
        ensure!(grown.1.elapsed().as_secs() < 600, "no more come than {} of {goal}", grown.0);
    }
}

/// A platform with this broker and mail server, and the organisation service's database.
async fn platform(bus: &str, sink: &SmtpSink) -> Result<(Platform, Database)> {
    let url = servers::postgres().await;
    let mut raw = RawSettings::default();
    raw.set("database_url", &url);
    raw.set("bus_url", bus);
    raw.set("smtp_url", format!("smtp://{}", sink.address()));
    raw.set("relay_window", WINDOW);
    let platform = Platform::embedded(raw, None).await;
    Ok((platform, Database::connect(&DatabaseUrl::parse(&url)?, "organisation", 1).await?))
}

/// The relay of the organisation service, and a loop without a database.
async fn relay() -> Result<()> {
    let (bus, sink) = (servers::rabbitmq().await, SmtpSink::start().await);
    let (_platform, database) = platform(&bus, &sink).await?;
    let connection = Connection::connect(&bus, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare(QUEUE.into(), options, arguments).await?;
    let (options, none) = (QueueBindOptions::default(), FieldTable::default());
    channel.queue_bind(QUEUE.into(), EXCHANGE.into(), QUEUE.into(), options, none).await?;

    let row = format!("relay: {EVENTS} events, window {WINDOW}; a publish loop");
    let ours = async |_| anyhow::Ok([relayed(&channel, &database).await?]);
    compare([row], 5, ours, async || published(&channel).await).await
}

/// Events a second that the relay takes from the outbox.
async fn relayed(channel: &Channel, database: &Database) -> Result<f64> {
    let clock = Clock::System;
    let event = |_| outbox::Event {
        id: clock.new_id(),
        routing_key: QUEUE.to_owned(),
        subject: clock.new_id(),
        payload: PAYLOAD.to_vec(),
        traceparent: None,
        at: clock.now(),
        must_arrive: true,
        queue: None,
        source: None,
    };
    let tx = database.begin().await?;
    for _ in 0..EVENTS / 1_000 {
        outbox::insert(&tx, (0..1_000).map(event).collect()).await?;
    }
    tx.commit().await?;
    let in_queue = async || {
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        let declared = channel.queue_declare(QUEUE.into(), options, FieldTable::default()).await?;
        anyhow::Ok(usize::try_from(declared.message_count())?)
    };
    // The relay looks for events of others once a second: the clock starts with the first.
    let (first, begun) = until(1, in_queue).await?;
    let (last, ended) = until(EVENTS, in_queue).await?;
    channel.queue_purge(QUEUE.into(), QueuePurgeOptions::default()).await?;
    Ok((last - first) as f64 / (ended - begun).as_secs_f64())
}

/// Events a second of a loop that does nothing but publish.
async fn published(channel: &Channel) -> Result<f64> {
    let begun = Instant::now();
    let mut confirms = FuturesUnordered::new();
    for _ in 0..EVENTS {
        if confirms.len() == WINDOW {
            confirms.next().await.context("a confirm")??;
        }
        let id = Clock::System.new_id().to_string().into();
        let properties = BasicProperties::default().with_delivery_mode(2).with_message_id(id);
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let (exchange, key) = (EXCHANGE.into(), QUEUE.into());
        confirms.push(channel.basic_publish(exchange, key, options, &PAYLOAD, properties).await?);
    }
    let _: Vec<_> = confirms.try_collect().await?;
    let took = begun.elapsed();
    channel.queue_purge(QUEUE.into(), QueuePurgeOptions::default()).await?;
    Ok(EVENTS as f64 / took.as_secs_f64())
}

/// The mailer, for which all mails of a round wait, and a sender that does nothing else.
async fn mailer() -> Result<()> {
    let (proxy, bus) = Proxy::before(&servers::rabbitmq().await).await;
    let sink = SmtpSink::start().await;
    let (platform, database) = platform(&bus, &sink).await?;
    let organisation = platform.owner().await.create_organisation("ABC Holdings", None).await;
    let told = async || {
        let count = "SELECT count(*) FROM invitations WHERE delivery_state = 'sent'";
        let count = Statement::from_string(database.read().get_database_backend(), count);
        let row = database.read().query_one_raw(count).await?.context("a count")?;
        anyhow::Ok(usize::try_from(row.try_get_by_index::<i64>(0)?)?)
    };
    let ours = async |round: usize| {
        proxy.set(Mode::Close);
        invite(&platform, &organisation, round).await?;
        proxy.set(Mode::Pass);
        until(round * MAILS, async || Ok(sink.taken())).await?;
        // When the organisation service has heard of all, nothing goes on beside the bare sender.
        until(round * MAILS, told).await?;
        let mut arrivals: Vec<_> = sink.arrivals().into_values().collect();
        arrivals.sort_unstable();
        let arrivals = &arrivals[(round - 1) * MAILS..];
        let between = |from: usize, to: usize| {
            (to - from) as f64 / (arrivals[to] - arrivals[from]).as_secs_f64()
        };
        anyhow::Ok([between(0, MAILS - 1), between(MAILS / 20, MAILS * 19 / 20)])
    };
    let all = format!("mailer: all of {MAILS} mails; {CONNECTIONS} raw SMTP connections");
    let middle = "mailer: the middle 90 % of them; the same".to_owned();
    // The first round begins with us, so there is a mail.
    let bare = async || sent(&sink.mails()[0].raw).await;
    compare([all, middle], 3, ours, bare).await
}

/// Invites people of whose domains none has had a mail: all rounds are alike.
async fn invite(platform: &Platform, organisation: &str, round: usize) -> Result<()> {
    // Signed in anew, for a token holds for ten minutes.
    let owner = platform.owner().await;
    let client = InvitationServiceClient::new(platform.organisation());
    let inviting = stream::iter(0..MAILS).map(Ok).try_for_each_concurrent(32, async |number| {
        let request = CreateInvitationRequest {
            organisation_id: organisation.to_owned(),
            email: format!("p{number}@d{}.r{round}.example", number % 250),
            roles: vec!["user".to_owned()],
            ..Default::default()
        };
        client.clone().create_invitation(with_token(owner.token(), request)).await.map(drop)
    });
    Ok(inviting.await?)
}

/// Mails a second over connections on which one mail is sent again and again.
async fn sent(mail: &[u8]) -> Result<f64> {
    let sink = SmtpSink::start().await;
    let (address, data) = (sink.address(), Arc::new([mail, b".\r\n"].concat()));
    let begun = Instant::now();
    let mut senders = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let data = data.clone();
        senders.spawn(async move {
            let mut stream = BufStream::new(TcpStream::connect(address).await?);
            // The server speaks first.
            ask(&mut stream, b"").await?;
            ask(&mut stream, b"EHLO bench.example\r\n").await?;
            for _ in 0..MAILS_EACH {
                ask(&mut stream, b"MAIL FROM:<bench@example.com>\r\n").await?;
                ask(&mut stream, b"RCPT TO:<p@example.com>\r\n").await?;
                ask(&mut stream, b"DATA\r\n").await?;
                ask(&mut stream, &data).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(sent) = senders.join_next().await {
        sent??;
    }
    let took = begun.elapsed();
    ensure!(sink.taken() == CONNECTIONS * MAILS_EACH, "the bare sender lost mail");
    Ok(sink.taken() as f64 / took.as_secs_f64())
}

/// Says something to the mail server, and waits until it agrees.
async fn ask(stream: &mut BufStream<TcpStream>, words: &[u8]) -> Result<()> {
    stream.write_all(words).await?;
    stream.flush().await?;
    let mut line = String::new();
    while line.get(3..4) != Some(" ") {
        line.clear();
        stream.read_line(&mut line).await?;
        ensure!(line.starts_with(['2', '3']), "the mail server says {line}");
    }
    Ok(())
}
