use api::notification::v1::{ReplayDeadLetterRequest, ReplayDeadLetterResponse};
use db::outbox::{self, Event};
use kernel::{Fields, parse_id};
use service::Caller;

use crate::{
    Notification,
    entity::dead_letter::{self, Model, State},
    error::Error,
    rights,
};

/// Hands a dead letter again to the queue that gave it up, and to no other.
///
/// Rule: one that waits for a decision, once; what is no message of ours cannot be handed to anybody. Two
/// queues may have given up the same event: it is handed to one after the other, because the outbox has
/// room for an event once.
/// Permission: `operations.manage` at the platform, or the scope of that name. Event: the message
/// itself, under its own identifier, so that whoever has handled it meanwhile knows it.
pub(crate) async fn replay_dead_letter(
    notification: &Notification,
    caller: &Caller,
    request: ReplayDeadLetterRequest,
) -> Result<ReplayDeadLetterResponse, Error> {
    let ReplayDeadLetterRequest { id } = request;
    let mut fields = Fields::default();
    let Some(id) = fields.read("id", parse_id(&id)) else {
        return Err(Error::Invalid(fields));
    };
    rights::require_operator(notification, caller).await?;
    let tx = notification.database.begin().await?;
    let row = dead_letter::find(&*tx, id).await?.ok_or(Error::DeadLetterNotFound)?;
    let event = event(row).ok_or(Error::DeadLetterUnreadable)?;
    let now = notification.clock.now();
    if !dead_letter::decide(&*tx, id, State::Replayed, caller.subject, now).await? {
        return Err(Error::DeadLetterDecided);
    }
    if !outbox::insert_again(&tx, Event { at: now, ..event }).await? {
        return Err(Error::DeadLetterOnItsWay);
    }
    let row = dead_letter::find(&*tx, id).await?.ok_or(Error::DeadLetterNotFound)?;
    tx.commit().await?;
    Ok(ReplayDeadLetterResponse { dead_letter: Some(row.into()) })
}

fn event(row: Model) -> Option<Event> {
    Some(Event {
        id: row.event_id?,
        routing_key: row.routing_key,
        subject: row.subject?,
        payload: row.payload,
        traceparent: row.traceparent,
        at: row.time?,
        must_arrive: true,
        queue: Some(row.queue),
        source: row.source.strip_prefix("usher/").map(str::to_owned),
    })
}
