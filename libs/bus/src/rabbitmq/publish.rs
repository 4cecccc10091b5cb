use std::collections::HashSet;

use futures::future::join_all;
use kernel::{Time, Uuid};
use lapin::{
    BasicProperties, Channel, Confirmation,
    options::BasicPublishOptions,
    types::{AMQPValue, FieldTable, ShortString},
};
use tokio::time::timeout;

use super::{PATIENCE, RabbitMq, label, topology::EXCHANGE};
use crate::{Message, PublishError};

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
                sent.push(send(&channel, EXCHANGE, &message.routing_key, message, None).await);
            }
            join_all(sent.into_iter().map(async |confirm| confirm?.await)).await
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
                Err(error) => Err(unavailable(&error)),
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

/// Sends one message, persistent, and mandatory if it must arrive; `error` tells a dead-letter
/// queue's reader why.
pub(super) async fn send(
    channel: &Channel,
    exchange: &str,
    routing_key: &str,
    message: &Message,
    error: Option<&str>,
) -> lapin::Result<lapin::PublisherConfirm> {
    let options = BasicPublishOptions { mandatory: message.must_arrive, ..Default::default() };
    let properties = properties(message, error);
    channel
        .basic_publish(exchange.into(), routing_key.into(), options, &message.payload, properties)
        .await
}

fn properties(message: &Message, error: Option<&str>) -> BasicProperties {
    let mut headers = FieldTable::default();
    let mut set = |name: &str, value: &str| {
        headers.insert(name.into(), AMQPValue::LongString(value.into()));
    };
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
    if let Some(error) = error {
        set("usher-error", error);
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

/// Reads back what [`send`] wrote; `None` if the message is not one of ours.
pub(super) fn read(properties: &BasicProperties, payload: Vec<u8>) -> Option<Message> {
    let headers = properties.headers().as_ref()?;
    let get = |name: &str| match headers.inner().get(&ShortString::from(name))? {
        AMQPValue::LongString(text) => Some(String::from_utf8_lossy(text.as_bytes()).into_owned()),
        _ => None,
    };
    let message = Message {
        id: id_of(properties)?,
        routing_key: get("cloudEvents:type")?,
        source: get("cloudEvents:source")?,
        subject: Uuid::parse_str(&get("cloudEvents:subject")?).ok()?,
        time: get("cloudEvents:time")?.parse::<Time>().ok()?,
        payload,
        traceparent: get("traceparent"),
        attempt: get("usher-attempt")?.parse().ok()?,
        // Where it waits for its next attempt, or is set aside, it must arrive.
        must_arrive: true,
    };
    tracing::trace!(message = label(&message), "read");
    Some(message)
}
