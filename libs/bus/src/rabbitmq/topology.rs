use std::time::Duration;

use lapin::{
    Channel, ExchangeKind, Result,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};

use crate::{Queue, RetrySteps};

/// The exchange that all events go through.
pub(super) const EXCHANGE: &str = "usher.events";

/// A queue that makes a consumer's process crash so often is broken: the message is set aside.
const DELIVERY_LIMIT: i32 = 20;
/// A queue may hold a day of a platform's invitations; beyond that publishes are refused and stay
/// in the outbox.
const MAX_LENGTH: i32 = 1_000_000;

pub(super) async fn declare_exchange(channel: &Channel) -> Result<()> {
    let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
    channel
        .exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, options, FieldTable::default())
        .await
}

/// Declares a consumer's queues. What differs from an older declaration is refused by the broker
/// (PRECONDITION_FAILED) and logged at every try: delete or rename the old queue.
pub(super) async fn declare_queue(
    channel: &Channel,
    queue: &Queue,
    steps: &RetrySteps,
) -> Result<()> {
    declare(channel, &dead_letters(queue.name), FieldTable::default()).await?;
    let mut arguments = dead_lettering_to(&dead_letters(queue.name));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(DELIVERY_LIMIT));
    declare(channel, queue.name, arguments).await?;
    for step in &steps.0 {
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
            .await?;
    }
    Ok(())
}

/// The queue in which messages wait for their next attempt.
pub(super) fn delayed(queue: &str, step: Duration) -> String {
    format!("{queue}.retry.{}ms", step.as_millis())
}

/// The queue of what was given up.
pub(super) fn dead_letters(queue: &str) -> String {
    format!("{queue}.dead")
}

fn dead_lettering_to(queue: &str) -> FieldTable {
    let mut arguments = FieldTable::default();
    let text = |text: &str| AMQPValue::LongString(text.into());
    arguments.insert("x-dead-letter-exchange".into(), text(""));
    arguments.insert("x-dead-letter-routing-key".into(), text(queue));
    arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    arguments
}

async fn declare(channel: &Channel, name: &str, mut arguments: FieldTable) -> Result<()> {
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    // At-least-once dead-lettering asks for reject-publish; it is what we want everywhere.
    arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(MAX_LENGTH));
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare(name.into(), options, arguments).await.map(|_| ())
}
