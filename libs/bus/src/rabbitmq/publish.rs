use std::{collections::HashSet, slice, time::Duration};

use futures::FutureExt as _;
use kernel::{Time, Uuid};
use lapin::{
    BasicProperties, Channel, Confirmation, PublisherConfirm,
    options::BasicPublishOptions,
    types::{AMQPValue, FieldTable, ShortString},
};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout, timeout_at},
};

use super::{
    Link, PATIENCE, RabbitMq,
    topology::{self, DEAD_LETTERS, EXCHANGE},
};
use crate::{Ground, Message, PublishError};

/// The longest routing key or queue's name that AMQP has room for, in bytes.
const LONGEST_NAME: usize = 255;
/// How much of an error goes with a dead letter, in characters.
const LONGEST_ERROR: usize = 500;

/// A way out, over a connection of its own. Whoever publishes has it for themselves, because lapin
/// hands a returned message to whichever confirmation comes next.
pub(super) struct Outlet {
    name: &'static str,
    /// How long what is sent may take to be confirmed.
    patience: Duration,
    link: Mutex<Option<Link>>,
}

impl Outlet {
    pub(super) fn new(name: &'static str, patience: Duration) -> Self {
        Self { name, patience, link: Mutex::default() }
    }
}

impl RabbitMq {
    pub(crate) async fn is_available(&self) -> bool {
        // A publish in progress holds the lock, and is a sign of life.
        let Ok(mut link) = self.events.link.try_lock() else { return true };
        self.open(&self.events, &mut link).await.is_ok()
    }

    pub(crate) async fn publish(&self, batch: Vec<Message>) -> Vec<Result<(), PublishError>> {
        let batch: Vec<_> = batch.into_iter().map(Parcel::event).collect();
        self.send(&self.events, &batch).await
    }

    /// Keeps elsewhere what a consumer puts off or gives up.
    pub(super) async fn put_away(&self, parcel: &Parcel) -> Result<(), PublishError> {
        self.send(&self.refused, slice::from_ref(parcel)).await.remove(0)
    }

    /// Publishes a batch with pipelined confirms. What is late does not take the rest with it: a slow
    /// broker would get everything again and again.
    async fn send(&self, outlet: &Outlet, batch: &[Parcel]) -> Vec<Result<(), PublishError>> {
        let Ok(mut link) = timeout(PATIENCE, outlet.link.lock()).await else {
            return vec![Err(late()); batch.len()];
        };
        let link = match self.open(outlet, &mut link).await {
            Ok(link) => link,
            Err(error) => return vec![Err(error); batch.len()],
        };
        // For whoever comes next, if this is broken off.
        link.is_spent = true;
        // The broker may stop reading as well as stop confirming: both are bounded.
        let deadline = Instant::now() + outlet.patience;
        let mut confirms = Vec::with_capacity(batch.len());
        for parcel in batch {
            let Ok(sent) = timeout_at(deadline, parcel.send(&link.channel)).await else { break };
            confirms.push(sent);
        }
        fault::point("after-publish");
        let mut confirmations = Vec::with_capacity(batch.len());
        for confirm in &mut confirms {
            confirmations.push(match confirm {
                Ok(_) if fault::is_off("confirm") => Ok(Confirmation::Ack(None)),
                Ok(confirm) => match timeout_at(deadline, confirm).await {
                    Ok(confirmed) => confirmed.map_err(|error| unavailable(&error)),
                    Err(_) => Err(late()),
                },
                Err(error) => Err(error.clone()),
            });
        }
        confirmations.resize_with(batch.len(), || Err(late()));
        link.is_spent = confirmations.contains(&Err(late()));
        // A confirmation that comes after its turn may carry a message whose own came in time.
        let stragglers = confirms.into_iter().filter_map(|confirm| confirm.ok()?.now_or_never());
        let stragglers: Vec<_> = stragglers.flatten().collect();
        judge(batch, &confirmations, &stragglers, link.is_spent)
    }

    /// Connects a link unless it is, and good for another batch.
    async fn open<'a>(
        &self,
        outlet: &Outlet,
        link: &'a mut Option<Link>,
    ) -> Result<&'a mut Link, PublishError> {
        if link.as_ref().is_some_and(|link| link.is_alive() && link.is_blocked()) {
            // It is kept even if it is spent: lapin does not write its farewell now either, and every
            // attempt would leave a connection and its thread behind.
            return Err(PublishError::Unavailable("the broker takes nothing now".to_owned()));
        }
        link.take_if(|link| link.is_spent || !link.is_alive());
        match link {
            Some(link) => Ok(link),
            None => {
                let opened =
                    self.connect(outlet.name).await.map_err(|error| unavailable(&error))?;
                let declaring = topology::declare_exchange(&opened.channel);
                let declared = timeout(PATIENCE, declaring).await.map_err(|_| late())?;
                self.note_obstacle(outlet.name, &declared);
                declared.map_err(|undeclared| unavailable(&undeclared.error))?;
                Ok(link.insert(opened))
            }
        }
    }
}

/// Tells what became of each message of a batch.
///
/// The broker reports an unroutable message as returned *and* acknowledged, and lapin hands the
/// returned message to whichever confirmation comes next. So the batch is judged as a whole, by all
/// confirmations that are in.
fn judge(
    batch: &[Parcel],
    confirmations: &[Result<Confirmation, PublishError>],
    stragglers: &[Confirmation],
    is_late: bool,
) -> Vec<Result<(), PublishError>> {
    let carried = confirmations.iter().flatten().chain(stragglers).filter_map(|it| match it {
        Confirmation::Ack(message) | Confirmation::Nack(message) => message.as_ref(),
        Confirmation::NotRequested => None,
    });
    let returned: HashSet<_> =
        carried.map(|message| message.delivery.properties.message_id()).collect();
    let unavailable = |why: &str| Err(PublishError::Unavailable(why.to_owned()));
    let judged = batch.iter().zip(confirmations).map(|(parcel, confirmation)| match confirmation {
        Ok(Confirmation::Ack(_)) if returned.contains(parcel.properties.message_id()) => {
            Err(PublishError::Unroutable(parcel.key.clone()))
        }
        // It carries another one, so that its own may still be on its way.
        Ok(Confirmation::Ack(Some(_))) if is_late => Err(late()),
        Ok(Confirmation::Ack(_)) => Ok(()),
        Ok(Confirmation::Nack(_)) => unavailable("the broker refused the message"),
        Ok(Confirmation::NotRequested) => unavailable("the channel does not confirm"),
        Err(error) => Err(error.clone()),
    });
    judged.collect()
}

fn unavailable(error: &lapin::Error) -> PublishError {
    PublishError::Unavailable(error.to_string())
}

fn late() -> PublishError {
    PublishError::Unavailable("no answer in time".to_owned())
}

/// A message on its way out.
pub(super) struct Parcel {
    exchange: &'static str,
    key: String,
    mandatory: bool,
    properties: BasicProperties,
    payload: Vec<u8>,
}

impl Parcel {
    /// To all queues that are bound to a message, or to the one that it is for.
    fn event(message: Message) -> Self {
        let properties = properties(&message);
        let mandatory = message.must_arrive && !fault::is_off("mandatory");
        let (exchange, key) = match message.queue {
            Some(queue) => ("", queue),
            None => (EXCHANGE, message.routing_key),
        };
        Self { exchange, key, mandatory, properties, payload: message.payload }
    }

    /// To a delay queue.
    pub(super) fn delayed(queue: String, message: Message) -> Self {
        Self { exchange: "", key: queue, ..Self::event(message) }
    }

    /// To the dead letters.
    pub(super) fn dead(properties: BasicProperties, payload: Vec<u8>, fate: &Fate) -> Self {
        let properties = with_fate(properties, fate);
        Self { exchange: "", key: DEAD_LETTERS.to_owned(), mandatory: true, properties, payload }
    }

    async fn send(&self, channel: &Channel) -> Result<PublisherConfirm, PublishError> {
        let Self { exchange, key, mandatory, properties, payload } = self;
        if key.len() > LONGEST_NAME {
            return Err(PublishError::Unpublishable("its routing key is too long"));
        }
        let (exchange, key) = ((*exchange).into(), key.as_str().into());
        let options = BasicPublishOptions { mandatory: *mandatory, ..Default::default() };
        let sent = channel.basic_publish(exchange, key, options, payload, properties.clone());
        sent.await.map_err(|error| unavailable(&error))
    }
}

/// Why and where a message was given up.
pub(super) struct Fate<Q = &'static str> {
    pub(super) queue: Q,
    pub(super) ground: Ground,
    pub(super) error: String,
}

/// Adds to a message why and where it was given up.
fn with_fate(properties: BasicProperties, fate: &Fate) -> BasicProperties {
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

pub(super) fn properties(message: &Message) -> BasicProperties {
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

/// Reads back what [`properties`] wrote; `Err` gives the payload back if the message is not one of ours.
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
