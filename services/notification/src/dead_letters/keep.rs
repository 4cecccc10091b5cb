use bus::{DeadLetter, Message};
use db::DbErr;
use kernel::Duration;

use crate::{
    Notification,
    entity::dead_letter::{self, Model, State},
};

/// The longest error that is kept, in characters.
const LONGEST: usize = 500;

/// Keeps what a consumer of whichever service gave up, until an operator decides.
///
/// Rule: a message that a queue gave up is kept once, however often it is told; given up again after
/// a replay, it waits again. Event: none.
pub(crate) async fn keep(notification: &Notification, dead: DeadLetter) -> Result<(), String> {
    let DeadLetter { queue, ground, error, message } = dead;
    let now = notification.clock.now();
    let error = error.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    let row = Model {
        id: notification.clock.new_id(),
        event_id: None,
        queue,
        ground: ground.as_str().to_owned(),
        error,
        routing_key: String::new(),
        source: String::new(),
        subject: None,
        time: None,
        payload: Vec::new(),
        traceparent: None,
        attempts: 0,
        state: State::Waiting,
        decided_by: None,
        created_at: now,
        updated_at: now,
    };
    let row = match message {
        Ok(message) => of_ours(row, message),
        Err(payload) => Model { payload, ..row },
    };
    let told = (row.queue.clone(), row.event_id);
    dead_letter::keep(notification.database.read(), row)
        .await
        .map_err(|error| error.to_string())?;
    tracing::error!(queue = told.0, event_id = ?told.1, ground = ground.as_str(), "a dead letter");
    Ok(())
}

/// Forgets what was decided 30 days ago.
pub(crate) async fn prune(notification: &Notification) -> Result<(), DbErr> {
    let until = notification.clock.now() - Duration::days(30);
    dead_letter::prune(notification.database.read(), until).await
}

fn of_ours(row: Model, message: Message) -> Model {
    Model {
        event_id: Some(message.id),
        routing_key: message.routing_key,
        source: message.source,
        subject: Some(message.subject),
        time: Some(message.time),
        payload: message.payload,
        traceparent: message.traceparent,
        attempts: i32::try_from(message.attempt).unwrap_or(i32::MAX),
        ..row
    }
}
