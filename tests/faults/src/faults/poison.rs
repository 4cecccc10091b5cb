use std::sync::atomic::{AtomicUsize, Ordering};

use db::{Database, DatabaseUrl, outbox};
use kernel::Clock;
use lapin::{BasicProperties, Channel, options::BasicPublishOptions};
use testkit::eventually;

use super::unbound::{EXCHANGE, KEY, QUEUE, channel_to};
use crate::{lists::dead_letters, outcome::Outcome, scene::Scene};

/// What came of poison among healthy invitations.
#[derive(Debug)]
pub struct Poisoned {
    /// The healthy invitations.
    pub healthy: Outcome,
    /// Rows and messages that were put among them, of each so many.
    pub poison: usize,
    /// Rows that an operator sees in the outbox.
    pub rows: usize,
    /// Messages that an operator sees among the dead letters.
    pub messages: usize,
}

impl Poisoned {
    /// Whether the healthy ones were mailed, and all poison is visible.
    pub fn is_right(&self) -> bool {
        let Self { healthy, poison, rows, messages } = self;
        healthy.is_right() && (rows, messages) == (poison, poison)
    }
}

/// Puts, for each hundredth invitation, a row into the outbox that no broker takes and a message into the
/// exchange that no consumer can read.
///
/// Their neighbours are mailed as ever; the rows stay where an operator sees them, the messages are among
/// the dead letters.
pub async fn poison(invitations: usize, per_second: u32) -> Poisoned {
    let mut scene = Scene::set().await;
    let url = scene.platform.process("organisation").variable("USHER_DATABASE_URL");
    let url = DatabaseUrl::parse(&url.expect("a database")).expect("its URL");
    let database = Database::connect(&url, "organisation", 1).await.expect("the database");
    scene.until_bound(QUEUE).await;
    let channel = channel_to(&scene.platform.bus).await;
    let load = scene.load(per_second);
    let mut poison = 0;
    while (poison + 1) * 100 <= invitations {
        load.until_attempted(poison * 100 + 50).await;
        put_row(&database).await;
        put_message(&channel).await;
        poison += 1;
    }
    load.until_attempted(invitations).await;
    let ledger = load.finish().await;
    let healthy =
        scene.drain("1 % poison rows and messages", &format!("{per_second}/s"), &ledger).await;
    let (rows, messages) = (AtomicUsize::new(0), AtomicUsize::new(0));
    eventually("all poison is visible", async || {
        rows.store(dead_rows(&scene).await, Ordering::Relaxed);
        messages.store(dead_letters(&scene).await.len(), Ordering::Relaxed);
        let all = |count: &AtomicUsize| count.load(Ordering::Relaxed) >= poison;
        (all(&rows) && all(&messages)).then_some(())
    })
    .await;
    Poisoned { healthy, poison, rows: rows.into_inner(), messages: messages.into_inner() }
}

/// A name of an event that is longer than AMQP allows.
async fn put_row(database: &Database) {
    let clock = Clock::System;
    let event = outbox::Event {
        id: clock.new_id(),
        routing_key: "poison".repeat(50),
        subject: clock.new_id(),
        payload: b"poison".to_vec(),
        traceparent: None,
        at: clock.now(),
        must_arrive: true,
        queue: None,
        source: None,
    };
    let tx = database.begin().await.expect("a transaction");
    outbox::insert(&tx, vec![event]).await.expect("a row");
    tx.commit().await.expect("a commit");
}

async fn put_message(channel: &Channel) {
    let properties = BasicProperties::default()
        .with_message_id(Clock::System.new_id().to_string().into())
        .with_delivery_mode(2);
    let (options, payload) = (BasicPublishOptions::default(), b"\xff\xff poison");
    let published =
        channel.basic_publish(EXCHANGE.into(), KEY.into(), options, payload, properties);
    published.await.expect("it is published");
}

async fn dead_rows(scene: &Scene) -> usize {
    let owner = scene.platform.owner().await;
    let outbox = scene.platform.outbox(&owner, "organisation").await.expect("its status");
    usize::try_from(outbox.dead).expect("a count")
}
