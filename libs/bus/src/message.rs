use std::{fmt, time::Duration};

use kernel::{Time, Uuid};

/// An event on the bus; the fields are CloudEvents 1.0 attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The event's identifier: equal for every copy of it.
    pub id: Uuid,
    /// Such as `organisation.invitation.created.v1`.
    pub routing_key: String,
    /// The service that it comes from.
    pub source: String,
    /// What it is about.
    pub subject: Uuid,
    /// When it happened.
    pub time: Time,
    /// Protobuf.
    pub payload: Vec<u8>,
    /// The W3C trace context of the request that caused it.
    pub traceparent: Option<String>,
    /// Counts the times that it is handed to a consumer, from 1.
    pub attempt: u32,
    /// Whether its publisher hears of it as [`PublishError::Unroutable`] when no queue is bound to its
    /// routing key. A consumer always reads `true`: what a queue has taken must not get lost.
    pub must_arrive: bool,
}

/// A consumer's queue and what it wants to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// `service.purpose`; consumers of one name share the work.
    pub name: &'static str,
    /// Routing keys, word for word.
    pub bindings: &'static [&'static str],
    /// How many messages are handled at once.
    pub concurrency: u16,
}

/// Why a consumer did not take a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Something is missing that may come back: try again after the next step.
    Retry(String),
    /// It will never succeed: set it aside where an operator sees it.
    Reject(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(why) => write!(f, "to be retried: {why}"),
            Self::Reject(why) => write!(f, "rejected: {why}"),
        }
    }
}

/// Why a message is not known to have arrived.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// It must arrive, and no queue is bound to its routing key: nobody would ever get it.
    #[error("no queue is bound to {0}")]
    Unroutable(String),
    /// The broker does not answer, or did not confirm.
    #[error("the bus is unavailable: {0}")]
    Unavailable(String),
    /// A consumer in this process refused it.
    #[error("{0}")]
    Refused(Refusal),
}

/// How long a refused message waits before each further attempt; after the last it is set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetrySteps(pub Vec<Duration>);

impl Default for RetrySteps {
    /// 5 s, 1 min, 5 min, 30 min, 2 h, 5 h, 10 h: a mail server may be down for most of a day.
    fn default() -> Self {
        Self([5, 60, 300, 1_800, 7_200, 18_000, 36_000].map(Duration::from_secs).to_vec())
    }
}

impl RetrySteps {
    /// How long to wait after the attempt of this number (from 1); `None` when it was the last.
    pub fn after(&self, attempt: u32) -> Option<Duration> {
        let index = usize::try_from(attempt.saturating_sub(1)).ok()?;
        self.0.get(index).copied()
    }
}
