//! The relay beside a bare publish loop, and the mailer beside a bare sender of mail.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use api::organisation::v1::{
    CreateInvitationRequest, invitation_service_client::InvitationServiceClient,
};
use db::{Database, DatabaseUrl, outbox};
use faults::proxy::{Mode, Proxy};
use futures::{
    StreamExt as _, TryStreamExt as _,
    future::try_join_all,
    stream::{self, FuturesUnordered},
};
use kernel::Clock;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind,
    options::{
        BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions,
        QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
};
use service::RawSettings;
use stories::Platform;
use testkit::{SmtpSink, eventually, servers, with_token};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufStream},
    net::TcpStream,
};

/// Events that the relay takes to the broker, and what each says.
const EVENTS: usize = 50_000;
const PAYLOAD: [u8; 200] = [b'e'; 200];
/// The relay's default window.
const WINDOW: usize = 500;
/// Mails that go out.
const MAILS: usize = 5_000;
/// Connections of the bare sender: as many as the mailer has for prompt domains.
const CONNECTIONS: usize = 24;
const EXCHANGE: &str = "usher.events";

/// Measures both, and prints a table.
pub async fn measure() -> Result<()> {
    let (relay, loops) = relay().await?;
    let (mailer, sender) = mailer().await?;
    println!("| what | a second | bare | ratio |\n|---|--:|--:|--:|");
    for (what, ours, bare) in [
        (format!("relay, {EVENTS} events, window {WINDOW}; a publish loop"), relay, loops),
        (format!("mailer, {MAILS} mails; {CONNECTIONS} raw SMTP connections"), mailer, sender),
    ] {
        println!("| {what} | {ours:.0} | {bare:.0} | {:.2} |", ours / bare);
    }
    Ok(())
}

/// Events a second from the outbox of the organisation service, and from a loop without a database.
async fn relay() -> Result<(f64, f64)> {
    let (database, bus) = (servers::postgres().await, servers::rabbitmq().await);
    let mut raw = RawSettings::default();
    raw.set("database_url", database.clone());
    raw.set("bus_url", bus.clone());
    let _platform = Platform::embedded(raw, None).await;
    let connection = Connection::connect(&bus, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    declare(&channel, "bench.relay").await?;
    declare(&channel, "bench.loop").await?;

    let database = Database::connect(&DatabaseUrl::parse(&database)?, "organisation", 1).await?;
    let tx = database.begin().await?;
    for _ in 0..EVENTS / 1_000 {
        outbox::insert(&tx, (0..1_000).map(|_| event()).collect()).await?;
    }
    tx.commit().await?;
    // The relay looks for events of others once a second: the clock starts with the first.
    let begun = until(&channel, "bench.relay", 1).await?;
    let ended = until(&channel, "bench.relay", EVENTS).await?;
    let relayed = EVENTS as f64 / (ended - begun).as_secs_f64();

    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let begun = Instant::now();
    let mut confirms = FuturesUnordered::new();
    for _ in 0..EVENTS {
        if confirms.len() == WINDOW {
            confirms.next().await.context("a confirm")??;
        }
        let properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_message_id(Clock::System.new_id().to_string().into());
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let published = channel.basic_publish(
            EXCHANGE.into(),
            "bench.loop".into(),
            options,
            &PAYLOAD,
            properties,
        );
        confirms.push(published.await?);
    }
    let _: Vec<_> = confirms.try_collect().await?;
    Ok((relayed, EVENTS as f64 / begun.elapsed().as_secs_f64()))
}

fn event() -> outbox::Event {
    let clock = Clock::System;
    outbox::Event {
        id: clock.new_id(),
        routing_key: "bench.relay".to_owned(),
        subject: clock.new_id(),
        payload: PAYLOAD.to_vec(),
        traceparent: None,
        at: clock.now(),
        must_arrive: true,
        queue: None,
        source: None,
    }
}

/// A quorum queue of a name that is its routing key, too.
async fn declare(channel: &Channel, name: &str) -> Result<()> {
    let (exchange, kind) = (EXCHANGE.into(), ExchangeKind::Topic);
    let options = ExchangeDeclareOptions { passive: true, ..Default::default() };
    channel.exchange_declare(exchange, kind, options, FieldTable::default()).await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare(name.into(), options, arguments).await?;
    let (options, none) = (QueueBindOptions::default(), FieldTable::default());
    channel.queue_bind(name.into(), EXCHANGE.into(), name.into(), options, none).await?;
    Ok(())
}

/// Waits until a queue has so many messages; when it had.
async fn until(channel: &Channel, queue: &str, count: usize) -> Result<Instant> {
    eventually(&format!("{count} messages"), async || {
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        let declared = channel.queue_declare(queue.into(), options, FieldTable::default()).await;
        let messages = usize::try_from(declared.ok()?.message_count()).ok()?;
        (messages >= count).then_some(())
    })
    .await;
    Ok(Instant::now())
}

/// Mails a second of the mailer, while all of them wait, and of a sender that does nothing else.
async fn mailer() -> Result<(f64, f64)> {
    let (proxy, bus) = Proxy::before(&servers::rabbitmq().await).await;
    let sink = SmtpSink::start().await;
    let mut raw = RawSettings::default();
    raw.set("database_url", servers::postgres().await);
    raw.set("bus_url", bus);
    raw.set("smtp_url", format!("smtp://{}", sink.address()));
    let platform = Platform::embedded(raw, None).await;
    let owner = platform.owner().await;
    let organisation = owner.create_organisation("ABC Holdings", None).await;
    proxy.set(Mode::Close);
    let client = InvitationServiceClient::new(platform.organisation());
    stream::iter(0..MAILS)
        .map(Ok)
        .try_for_each_concurrent(32, async |number| {
            let request = CreateInvitationRequest {
                organisation_id: organisation.clone(),
                email: format!("p{number}@d{}.example", number % 250),
                roles: vec!["user".to_owned()],
                ..Default::default()
            };
            client.clone().create_invitation(with_token(owner.token(), request)).await.map(drop)
        })
        .await?;
    proxy.set(Mode::Pass);
    eventually("all mails", async || (sink.taken() >= MAILS).then_some(())).await;
    let arrivals = sink.arrivals();
    let first = arrivals.values().min().context("a mail")?;
    let last = arrivals.values().max().context("a mail")?;
    let mailed = arrivals.len() as f64 / (*last - *first).as_secs_f64();
    drop(platform);

    let mail = sink.mails().swap_remove(0);
    let sink = SmtpSink::start().await;
    let begun = Instant::now();
    let share = MAILS / CONNECTIONS;
    try_join_all((0..CONNECTIONS).map(|_| send(&sink, &mail.raw, share))).await?;
    let elapsed: Duration = begun.elapsed();
    ensure!(sink.taken() == share * CONNECTIONS, "the bare sender lost mail");
    Ok((mailed, sink.taken() as f64 / elapsed.as_secs_f64()))
}

/// Sends a mail so often over one connection, without looking at it.
async fn send(sink: &SmtpSink, raw: &[u8], times: usize) -> Result<()> {
    let mut stream = BufStream::new(TcpStream::connect(sink.address()).await?);
    let mut data = raw.to_vec();
    data.extend(b".\r\n");
    answer(&mut stream).await?;
    ask(&mut stream, b"EHLO bench.example\r\n").await?;
    for _ in 0..times {
        ask(&mut stream, b"MAIL FROM:<bench@example.com>\r\n").await?;
        ask(&mut stream, b"RCPT TO:<p@example.com>\r\n").await?;
        ask(&mut stream, b"DATA\r\n").await?;
        ask(&mut stream, &data).await?;
    }
    Ok(())
}

async fn ask(stream: &mut BufStream<TcpStream>, words: &[u8]) -> Result<()> {
    stream.write_all(words).await?;
    stream.flush().await?;
    answer(stream).await
}

async fn answer(stream: &mut BufStream<TcpStream>) -> Result<()> {
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        ensure!(line.starts_with(['2', '3']), "the mail server says {line}");
        if line.get(3..4) == Some(" ") {
            return Ok(());
        }
    }
}
