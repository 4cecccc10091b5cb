use db::{DbErr, Transaction, outbox};
use kernel::{Clock, Uuid};
use prost::Message;

use crate::current_traceparent;

/// Publishes an event that a consumer of ours waits for: it leaves with the commit of `tx`, goes on
/// with the current trace, and stays in the outbox until a queue has it.
pub async fn publish(
    tx: &Transaction,
    clock: &Clock,
    routing_key: &'static str,
    subject: Uuid,
    event: &impl Message,
) -> Result<(), DbErr> {
    outbox::insert(tx, vec![outgoing(clock, routing_key, subject, event, true)]).await
}

/// Publishes many events of one kind, each with its subject, as [`publish`] does each.
pub async fn publish_each(
    tx: &Transaction,
    clock: &Clock,
    routing_key: &'static str,
    events: &[(Uuid, impl Message)],
) -> Result<(), DbErr> {
    let events = events.iter();
    let events = events.map(|(subject, event)| outgoing(clock, routing_key, *subject, event, true));
    outbox::insert(tx, events.collect()).await
}

/// Publishes an event that none of ours need hear: as [`publish`] does, but it also leaves the outbox
/// when no queue is bound to its routing key.
pub async fn announce(
    tx: &Transaction,
    clock: &Clock,
    routing_key: &'static str,
    subject: Uuid,
    event: &impl Message,
) -> Result<(), DbErr> {
    outbox::insert(tx, vec![outgoing(clock, routing_key, subject, event, false)]).await
}

fn outgoing(
    clock: &Clock,
    routing_key: &'static str,
    subject: Uuid,
    event: &impl Message,
    must_arrive: bool,
) -> outbox::Event {
    outbox::Event {
        id: clock.new_id(),
        routing_key: routing_key.to_owned(),
        subject,
        payload: event.encode_to_vec(),
        traceparent: current_traceparent(),
        at: clock.now(),
        must_arrive,
        queue: None,
        source: None,
    }
}
