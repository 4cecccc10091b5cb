use std::collections::HashSet;

use futures::future::join_all;
use kernel::{Time, Uuid};
use lapin::{
    BasicProperties, Channel, Confirmation,
    options::BasicPublishOptions,
    types::{AMQPValue, FieldTable, ShortString},
};
use tokio::time::timeout;

use super::{PATIENCE, RabbitMq, topology::EXCHANGE};
use crate::{Ground, Message, PublishError};

/// The longest routing key or queue's name that AMQP has room for, in bytes.
const LONGEST_NAME: usize = 255;
/// How much of an error goes with a dead letter, in characters.
const LONGEST_ERROR: usize = 500;

impl RabbitMq {
    /// Publishes a batch with pipelined confirms.
    ///
    /// The broker reports an unroutable message as returned *and* acknowledged, and lapin hands the
    /// returned message to whichever confirmation comes next. So the batch has the channel for
    /// itself, and is judged as a whole when all its confirmations are in.
    pub(crate) async fn publish(&self, batch: Vec<Message>) -> Vec<Result<(), PublishError>> {
        let mut link = self.publisher.lock().await;
        let channel = match self.keep_alive(&mut link).await {
            Ok(link) => link.channel.clone(),
            Err(error) => return batch.iter().map(|_| Err(unavailable(&error))).collect(),
        };
        // The broker may stop reading as well as stop confirming: both are bounded.
        let publishing = async {
            let mut sent = Vec::with_capacity(batch.len());
            for message in &batch {
                let (exchange, key) = match &message.queue {
                    Some(queue) => ("", queue),
                    None => (EXCHANGE, &message.routing_key),
                };
                sent.push(if key.len() <= LONGEST_NAME {
                    let sent = send(&channel, exchange, key, message, None).await;
                    sent.map_err(|error| unavailable(&error))
                } else {
                    Err(PublishError::Unpublishable("its routing key is too long"))
                });
            }
            fault::point("after-publish");
            join_all(sent.into_iter().map(async |confirm| match confirm? {
                _ if fault::is_off("confirm") => Ok(Confirmation::Ack(None)),
                confirm => confirm.await.map_err(|error| unavailable(&error)),
            }))
            .await
        };
        let Ok(confirmations) = timeout(PATIENCE, publishing).await else {
            *link = None;
            let late = || PublishError::Unavailable("no confirm within 10 s".to_owned());
            return batch.iter().map(|_| Err(late())).collect();
        };
        let mut returned = HashSet::new();
        let mut answers = Vec::with_capacity(batch.len());
        for confirmation in confirmations {
            answers.push(match confirmation {
                Ok(Confirmation::Ack(message)) => {
                    returned
                        .extend(message.and_then(|message| id_of(&message.delivery.properties)));
                    Ok(())
                }
                Ok(Confirmation::Nack(_)) => {
                    Err(PublishError::Unavailable("the broker refused the message".to_owned()))
                }
                Ok(Confirmation::NotRequested) => {
                    Err(PublishError::Unavailable("the channel does not confirm".to_owned()))
                }
                Err(error) => Err(error),
            });
        }
        for (message, answer) in batch.iter().zip(&mut answers) {
            if answer.is_ok() && returned.contains(&message.id) {
                *answer = Err(PublishError::Unroutable(message.routing_key.clone()));
            }
        }
        answers
    }
}

fn unavailable(error: &lapin::Error) -> PublishError {
    PublishError::Unavailable(error.to_string())
}

/// Why and where a message was given up.
pub(super) struct Fate<Q = &'static str> {
    pub(super) queue: Q,
    pub(super) ground: Ground,
    pub(super) error: String,
}

/// Sends one message, persistent, and mandatory if it must arrive; a dead letter with its `fate`.
pub(super) async fn send(
    channel: &Channel,
    exchange: &str,
    routing_key: &str,
    message: &Message,
    fate: Option<&Fate>,
) -> lapin::Result<lapin::PublisherConfirm> {
    let mandatory = message.must_arrive && !fault::is_off("mandatory");
    let options = BasicPublishOptions { mandatory, ..Default::default() };
    let properties = properties(message);
    let properties = match fate {
        Some(fate) => with_fate(properties, fate),
        None => properties,
    };
    channel
        .basic_publish(exchange.into(), routing_key.into(), options, &message.payload, properties)
        .await
}

/// Adds to a message why and where it was given up.
pub(super) fn with_fate(properties: BasicProperties, fate: &Fate) -> BasicProperties {
    let mut headers = properties.headers().clone().unwrap_or_default();
    set(&mut headers, "usher-queue", fate.queue);
    set(&mut headers, "usher-ground", fate.ground.as_str());
    // All headers must fit into one frame.
    set(&mut headers, "usher-error", &fate.error.chars().take(LONGEST_ERROR).collect::<String>());
    properties.with_headers(headers)
}

/// Reads why and where a dead letter was given up: by its consumer, or else by the broker, whose
/// newest word stands first in `x-death`.
pub(super) fn fate(properties: &BasicProperties) -> Fate<String> {
    let none = FieldTable::default();
    let headers = properties.headers().as_ref().unwrap_or(&none);
    if let Some(queue) = get(headers, "usher-queue") {
        let ground = get(headers, "usher-ground");
        let ground =
            Ground::ALL.into_iter().find(|known| ground.as_deref() == Some(known.as_str()));
        let ground = ground.unwrap_or(Ground::Unreadable);
        return Fate { queue, ground, error: get(headers, "usher-error").unwrap_or_default() };
    }
    let deaths = match headers.inner().get("x-death") {
        Some(AMQPValue::FieldArray(deaths)) => deaths.as_slice(),
        _ => &[],
    };
    let queue = match deaths.first() {
        Some(AMQPValue::FieldTable(death)) => get(death, "queue"),
        _ => None,
    };
    Fate {
        queue: queue.unwrap_or_default(),
        ground: Ground::DeliveryLimit,
        error: "it was handed out too often without an answer".to_owned(),
    }
}

fn set(headers: &mut FieldTable, name: &str, value: &str) {
    headers.insert(name.into(), AMQPValue::LongString(value.into()));
}

fn get(headers: &FieldTable, name: &str) -> Option<String> {
    match headers.inner().get(&ShortString::from(name))? {
        AMQPValue::LongString(text) => Some(String::from_utf8_lossy(text.as_bytes()).into_owned()),
        _ => None,
    }
}

fn properties(message: &Message) -> BasicProperties {
    let mut headers = FieldTable::default();
    let mut set = |name: &str, value: &str| set(&mut headers, name, value);
    set("cloudEvents:specversion", "1.0");
    set("cloudEvents:id", &message.id.to_string());
    set("cloudEvents:type", &message.routing_key);
    set("cloudEvents:source", &message.source);
    set("cloudEvents:subject", &message.subject.to_string());
    set("cloudEvents:time", &message.time.to_rfc3339());
    set("usher-attempt", &message.attempt.to_string());
    if let Some(traceparent) = &message.traceparent {
        set("traceparent", traceparent);
    }
    if let Some(queue) = &message.queue {
        set("usher-replayed-to", queue);
    }
    BasicProperties::default()
        .with_content_type("application/protobuf".into())
        .with_delivery_mode(2)
        .with_message_id(message.id.to_string().into())
        .with_headers(headers)
}

fn id_of(properties: &BasicProperties) -> Option<Uuid> {
    properties.message_id().as_ref().and_then(|id| Uuid::parse_str(id.as_str()).ok())
}

/// Reads back what [`send`] wrote; `Err` gives the payload back if the message is not one of ours.
pub(super) fn read(
    properties: &BasicProperties,
    payload: Vec<u8>,
    redelivered: bool,
) -> Result<Message, Vec<u8>> {
    match without_payload(properties, redelivered) {
        Some(message) => Ok(Message { payload, ..message }),
        None => Err(payload),
    }
}

fn without_payload(properties: &BasicProperties, redelivered: bool) -> Option<Message> {
    let headers = properties.headers().as_ref()?;
    let get = |name: &str| get(headers, name);
    Some(Message {
        id: id_of(properties)?,
        routing_key: get("cloudEvents:type")?,
        source: get("cloudEvents:source")?,
        subject: Uuid::parse_str(&get("cloudEvents:subject")?).ok()?,
        time: get("cloudEvents:time")?.parse::<Time>().ok()?,
        payload: Vec::new(),
        traceparent: get("traceparent"),
        attempt: get("usher-attempt")?.parse().ok()?,
        queue: get("usher-replayed-to"),
        redelivered,
        // Where it waits for its next attempt, or is set aside, it must arrive.
        must_arrive: true,
    })
}
