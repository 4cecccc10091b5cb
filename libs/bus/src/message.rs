use std::{fmt, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use kernel::{Malformed, Time, Uuid};

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
    /// The one queue that it is for, if it is not for all that are bound to its routing key: it was
    /// set aside there, and an operator replays it.
    pub queue: Option<String>,
    /// Whether the broker has handed it out before and got no answer: whoever had it has crashed, or
    /// lost the broker.
    pub redelivered: bool,
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
    /// The same of a consumer that counts for itself: it was the attempt of this number, whatever the
    /// message says.
    Counted(u32, String),
    /// It is not its turn: try again after the longest step that is no longer than this, or the first.
    /// It was no attempt.
    Later(Duration, String),
    /// It will never succeed: set it aside where an operator sees it.
    Reject(String),
}

impl Refusal {
    /// Which attempt at a message it was.
    pub(crate) fn attempt(&self, message: &Message) -> u32 {
        match self {
            Self::Counted(attempt, _) => *attempt,
            Self::Retry(_) | Self::Later(..) | Self::Reject(_) => message.attempt,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(why) | Self::Counted(_, why) => write!(f, "to be retried: {why}"),
            Self::Later(_, why) => write!(f, "not its turn: {why}"),
            Self::Reject(why) => write!(f, "rejected: {why}"),
        }
    }
}

/// A message that its consumer gave up, on its way to an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The queue whose consumer gave it up.
    pub queue: String,
    /// On what ground.
    pub ground: Ground,
    /// Why, in words for an operator.
    pub error: String,
    /// What it was; `Err` holds the bytes of what is not a message of ours.
    pub message: Result<Message, Vec<u8>>,
}

/// On what ground a message was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// Its consumer rejected it: it would never succeed.
    Rejected,
    /// Its last retry was in vain.
    Exhausted,
    /// It was handed out too often without an answer: whoever handles it crashes.
    DeliveryLimit,
    /// It is no message of ours.
    Unreadable,
}

impl Ground {
    /// Every ground.
    pub const ALL: [Self; 4] =
        [Self::Rejected, Self::Exhausted, Self::DeliveryLimit, Self::Unreadable];

    /// Its name in headers, tables and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Exhausted => "exhausted",
            Self::DeliveryLimit => "delivery_limit",
            Self::Unreadable => "unreadable",
        }
    }
}

/// Keeps a dead letter where an operator finds it. `Ok` means that it is kept for good; it may get
/// one twice.
pub type DeadLetterHandler =
    Arc<dyn Fn(DeadLetter) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// Why a message is not known to have arrived.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// It must arrive, and no queue is bound to its routing key: nobody would ever get it.
    #[error("no queue is bound to {0}")]
    Unroutable(String),
    /// It can never be published.
    #[error("it cannot be published: {0}")]
    Unpublishable(&'static str),
    /// The broker does not answer, or did not confirm.
    #[error("the bus is unavailable: {0}")]
    Unavailable(String),
    /// A consumer in this process wants it later.
    #[error("to be retried: {0}")]
    Refused(String),
    /// A consumer in this process wants it after so long, without an attempt having been made.
    #[error("not its turn: {1}")]
    Later(Duration, String),
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
    /// Parses a setting such as `5s,1m,5m,30m,2h`: 1 to 20 steps, each of 1 s to a day.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        const EXPECTED: Malformed =
            Malformed("1 to 20 spans from 1s to 1d with commas between, such as 5s,1m,2h");
        let span = |text: &str| {
            let text = text.trim();
            let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
            let seconds: u64 = match unit {
                "s" => 1,
                "m" => 60,
                "h" => 3_600,
                "d" => 86_400,
                _ => return None,
            };
            let span = number.parse::<u64>().ok()?.checked_mul(seconds)?;
            (1..=86_400).contains(&span).then(|| Duration::from_secs(span))
        };
        let steps: Option<Vec<_>> = text.split(',').map(span).collect();
        match steps {
            Some(steps) if steps.len() <= 20 => Ok(Self(steps)),
            _ => Err(EXPECTED),
        }
    }

    /// The longest step that is no longer than this, or else the first.
    pub fn within(&self, pause: Duration) -> Duration {
        let fitting = self.0.iter().filter(|step| **step <= pause).max();
        fitting.or(self.0.first()).copied().unwrap_or_default()
    }

    /// How long to wait after the attempt of this number; beyond the last step, the last.
    pub fn at_most(&self, attempt: u32) -> Duration {
        self.after(attempt).or(self.0.last().copied()).unwrap_or_default()
    }

    /// How long to wait after the attempt of this number (from 1); `None` when it was the last.
    pub fn after(&self, attempt: u32) -> Option<Duration> {
        let index = usize::try_from(attempt.saturating_sub(1)).ok()?;
        self.0.get(index).copied()
    }
}
