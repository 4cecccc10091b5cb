use db::{DbErr, Transaction, outbox};
use kernel::{Clock, Uuid};
use prost::Message;

use crate::current_traceparent;

/// Publishes an event: it leaves with the commit of `tx`, and goes on with the current trace.
pub async fn publish(
    tx: &Transaction,
    clock: &Clock,
    routing_key: &'static str,
    subject: Uuid,
    event: &impl Message,
) -> Result<(), DbErr> {
    let event = outbox::Event {
        id: clock.new_id(),
        routing_key,
        subject,
        payload: event.encode_to_vec(),
        traceparent: current_traceparent(),
        at: clock.now(),
    };
    outbox::insert(tx, event).await
}
