use std::{collections::BTreeSet, time::Duration};

use lapin::{
    Channel, Error, ErrorKind, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    protocol::{AMQPErrorKind, AMQPSoftError},
    types::{AMQPValue, FieldTable},
};

use crate::{Queue, RetrySteps};

/// The exchange that all events go through.
pub(super) const EXCHANGE: &str = "usher.events";

/// The queue of everything that was given up.
pub(super) const DEAD_LETTERS: &str = "usher.dead-letters";

/// A message that was handed out so often without an answer makes its consumer's process crash, or was
/// beside one that does: it is set aside.
const DELIVERY_LIMIT: i32 = 20;
/// A queue may hold a day of a platform's invitations; beyond that publishes are refused and stay
/// in the outbox.
const MAX_LENGTH: i32 = 1_000_000;

/// What was not declared as asked, and why.
pub(super) struct Undeclared {
    pub(super) name: String,
    pub(super) error: Error,
}

impl Undeclared {
    fn naming(name: &str) -> impl Fn(Error) -> Self {
        move |error| Self { name: name.to_owned(), error }
    }

    /// Whether it is there and differs.
    pub(super) fn differs(&self) -> bool {
        let failed = AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED);
        matches!(self.error.kind(), ErrorKind::ProtocolError(error) if *error.kind() == failed)
    }
}

/// What an operator reads about an exchange or a queue that differs.
pub(super) fn how_it_differs(name: &str) -> String {
    let remedy =
        if name == EXCHANGE { "end that one and delete it" } else { "empty it and delete it" };
    format!("{name}: declared otherwise by another version; {remedy}")
}

pub(super) async fn declare_exchange(channel: &Channel) -> Result<(), Undeclared> {
    let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
    channel
        .exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, options, FieldTable::default())
        .await
        .map_err(Undeclared::naming(EXCHANGE))
}

/// Declares a consumer's queues, and what they need. What differs from an older declaration is refused
/// by the broker (PRECONDITION_FAILED), logged at every try, and keeps the service from being ready: an
/// operator empties the old queue, by letting the version that declared it run on, and deletes it.
/// Nothing is lost meanwhile, because the old queue is still bound.
pub(super) async fn declare_queue(
    channel: &Channel,
    queue: &Queue,
    steps: &RetrySteps,
) -> Result<(), Undeclared> {
    declare_exchange(channel).await?;
    declare_dead_letters(channel).await?;
    let mut arguments = dead_lettering_to(DEAD_LETTERS);
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(DELIVERY_LIMIT));
    declare(channel, queue.name, arguments).await?;
    for step in steps.0.iter().collect::<BTreeSet<_>>() {
        let mut arguments = dead_lettering_to(queue.name);
        let milliseconds = i32::try_from(step.as_millis()).unwrap_or(i32::MAX);
        arguments.insert("x-message-ttl".into(), AMQPValue::LongInt(milliseconds));
        declare(channel, &delayed(queue.name, *step), arguments).await?;
    }
    for key in queue.bindings {
        channel
            .queue_bind(
                queue.name.into(),
                EXCHANGE.into(),
                (*key).into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await
            .map_err(Undeclared::naming(queue.name))?;
    }
    Ok(())
}

/// The queue in which messages wait for their next attempt.
pub(super) fn delayed(queue: &str, step: Duration) -> String {
    format!("{queue}.retry.{}ms", step.as_millis())
}

/// Declares the queue of what was given up: by whoever gives up as well as by whoever keeps it.
pub(super) async fn declare_dead_letters(channel: &Channel) -> Result<(), Undeclared> {
    declare(channel, DEAD_LETTERS, FieldTable::default()).await
}

fn dead_lettering_to(queue: &str) -> FieldTable {
    let mut arguments = FieldTable::default();
    let text = |text: &str| AMQPValue::LongString(text.into());
    arguments.insert("x-dead-letter-exchange".into(), text(""));
    arguments.insert("x-dead-letter-routing-key".into(), text(queue));
    arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    arguments
}

async fn declare(
    channel: &Channel,
    name: &str,
    mut arguments: FieldTable,
) -> Result<(), Undeclared> {
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    // At-least-once dead-lettering asks for reject-publish; it is what we want everywhere.
    arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(MAX_LENGTH));
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    let declared = channel.queue_declare(name.into(), options, arguments).await;
    declared.map(drop).map_err(Undeclared::naming(name))
}
