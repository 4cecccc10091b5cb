//! Use cases about dead letters, one a file, and what they share: how one looks to the world.

pub(crate) mod discard;
pub(crate) mod get;
pub(crate) mod keep;
pub(crate) mod list;
pub(crate) mod replay;
#[cfg(test)]
mod tests;

use api::notification::v1::{DeadLetter, DeadLetterGround, DeadLetterState};
use bus::Ground;

use crate::entity::dead_letter::{Model, State};

/// The ground that a row tells of.
fn ground(word: &str) -> DeadLetterGround {
    match Ground::ALL.into_iter().find(|ground| ground.as_str() == word) {
        Some(Ground::Rejected) => DeadLetterGround::Rejected,
        Some(Ground::Exhausted) => DeadLetterGround::Exhausted,
        Some(Ground::DeliveryLimit) => DeadLetterGround::DeliveryLimit,
        Some(Ground::Unreadable) => DeadLetterGround::Unreadable,
        None => DeadLetterGround::Unspecified,
    }
}

impl From<Model> for DeadLetter {
    fn from(row: Model) -> Self {
        let ground = ground(&row.ground);
        let state = match row.state {
            State::Waiting => DeadLetterState::Waiting,
            State::Replayed => DeadLetterState::Replayed,
            State::Discarded => DeadLetterState::Discarded,
        };
        let id = |id: Option<kernel::Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
        Self {
            id: row.id.to_string(),
            event_id: id(row.event_id),
            queue: row.queue,
            ground: ground.into(),
            error: row.error,
            r#type: row.routing_key,
            source: row.source,
            subject: id(row.subject),
            time: row.time.map(api::timestamp),
            attempts: row.attempts,
            state: state.into(),
            created_at: Some(api::timestamp(row.created_at)),
            updated_at: Some(api::timestamp(row.updated_at)),
            decided_by: id(row.decided_by),
            payload: row.payload,
        }
    }
}
