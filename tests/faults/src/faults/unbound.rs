use lapin::{
    Channel, Connection, ConnectionProperties, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions},
    types::FieldTable,
};

use super::OFF;
use crate::{load::Ledger, outcome::Outcome, scene::Scene};

pub(super) const QUEUE: &str = "mailer.invitations";
pub(super) const EXCHANGE: &str = "usher.events";
pub(super) const KEY: &str = "organisation.invitation.created.v1";

/// Takes the mailer's queue off the exchange while invitations are made, and binds it again.
///
/// What is published meanwhile comes back as unroutable and stays in the outbox; nothing is lost.
/// Without the mandatory flag the broker would drop it.
pub async fn unbind_the_queue(invitations: usize, off: &str) -> Outcome {
    let mut scene = Scene::set().await;
    scene.restart("organisation", &[(OFF, off)]).await;
    scene.until_bound(QUEUE).await;
    let channel = channel_to(&scene.platform.bus).await;
    let options = ExchangeDeclareOptions { passive: true, ..Default::default() };
    let exchange = channel.exchange_declare(
        EXCHANGE.into(),
        ExchangeKind::Topic,
        options,
        FieldTable::default(),
    );
    exchange.await.expect("the exchange is there");
    let unbound =
        channel.queue_unbind(QUEUE.into(), EXCHANGE.into(), KEY.into(), FieldTable::default());
    unbound.await.expect("the queue is taken off");
    let ledger = Ledger::default();
    for _ in 0..invitations {
        scene.invite(&ledger).await;
    }
    scene.until_published(invitations).await;
    let bound = channel.queue_bind(
        QUEUE.into(),
        EXCHANGE.into(),
        KEY.into(),
        QueueBindOptions::default(),
        FieldTable::default(),
    );
    bound.await.expect("the queue is bound again");
    scene.patience = std::time::Duration::from_secs(20);
    scene.drain("queue unbound", &format!("{invitations} in all"), &ledger).await
}

/// A channel of the test's own.
pub(super) async fn channel_to(broker: &str) -> Channel {
    let connection = Connection::connect(broker, ConnectionProperties::default()).await;
    connection.expect("the broker").create_channel().await.expect("a channel")
}
