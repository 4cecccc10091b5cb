//! The bus: events leave a service's outbox and reach every queue that is bound to their routing
//! key, at least once.
//!
//! Both adapters keep one contract (`tests/contract.rs`): a publish is confirmed only when losing
//! this process loses nothing. RabbitMQ has then stored the message in its quorum queues; the
//! in-process bus has then had it handled, so that until then the outbox row is the message. A
//! message that need not arrive is confirmed also when no queue is bound to its routing key.

mod memory;
mod message;
mod rabbitmq;

pub use memory::MemoryBus;
pub use message::{
    DeadLetter, DeadLetterHandler, Ground, Message, PublishError, Queue, Refusal, RetrySteps,
};
pub use rabbitmq::RabbitMq;

use std::sync::Arc;

use futures::future::BoxFuture;
use kernel::Malformed;
use tokio_util::sync::CancellationToken;

use crate::rabbitmq::Duty;

/// What a consumer does with a message. `Ok` means that its effect is committed.
pub type Handler = Arc<dyn Fn(Message) -> BoxFuture<'static, Result<(), Refusal>> + Send + Sync>;

/// Where the bus is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusUrl {
    /// `memory:`, in this process. Embedded.
    Memory,
    /// `amqp://` or `amqps://`.
    RabbitMq(String),
}

impl BusUrl {
    /// Parses a setting.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        match text {
            "memory:" => Ok(Self::Memory),
            _ if text.parse::<lapin::uri::AMQPUri>().is_ok() => Ok(Self::RabbitMq(text.to_owned())),
            _ => Err(Malformed("amqp://USER:PASSWORD@HOST/VHOST, amqps://… or memory:")),
        }
    }
}

/// The bus. Clones share it.
#[derive(Clone)]
pub enum Bus {
    /// In this process.
    Memory(MemoryBus),
    /// A broker.
    RabbitMq(RabbitMq),
}

impl Bus {
    /// Opens the bus. A broker is connected on first use and again whenever it has gone.
    pub fn open(url: &BusUrl, steps: RetrySteps) -> Self {
        match url {
            BusUrl::Memory => Self::Memory(MemoryBus::new(steps)),
            BusUrl::RabbitMq(url) => Self::RabbitMq(RabbitMq::new(url.clone(), steps)),
        }
    }

    /// Publishes a batch; the answers are in the order of the messages. A message that was not
    /// answered with `Ok` may have arrived all the same: publish it again.
    pub async fn publish(&self, batch: Vec<Message>) -> Vec<Result<(), PublishError>> {
        match self {
            Self::Memory(bus) => bus.publish(batch).await,
            Self::RabbitMq(bus) => bus.publish(batch).await,
        }
    }

    /// Handles the messages of a queue, at most `queue.concurrency` at once, until `stop`; then
    /// finishes what it has begun. It outlives every loss of the broker.
    ///
    /// In this process the queue is bound when this returns, so that nothing that is published
    /// afterwards finds nobody; the future does the rest.
    pub fn consume(
        &self,
        queue: Queue,
        handler: Handler,
        stop: CancellationToken,
    ) -> BoxFuture<'static, ()> {
        match self {
            Self::Memory(bus) => Box::pin(bus.bind(queue, handler).run(stop)),
            Self::RabbitMq(bus) => {
                let bus = bus.clone();
                let duty = Duty::Handle(queue, handler);
                Box::pin(async move { bus.consume(duty, stop).await })
            }
        }
    }

    /// Hands every message that a consumer gave up to `handler`, until `stop`. What it does not keep
    /// comes again. In this process it is bound when this returns.
    pub fn keep_dead_letters(
        &self,
        handler: DeadLetterHandler,
        stop: CancellationToken,
    ) -> BoxFuture<'static, ()> {
        match self {
            Self::Memory(bus) => {
                bus.bind_dead_letters(handler);
                Box::pin(stop.cancelled_owned())
            }
            Self::RabbitMq(bus) => {
                let bus = bus.clone();
                let duty = Duty::KeepDeadLetters(handler);
                Box::pin(async move { bus.consume(duty, stop).await })
            }
        }
    }

    /// What stands in the way, and does not go away by itself: queues or an exchange that another
    /// version declared otherwise.
    pub fn obstacle(&self) -> Option<String> {
        match self {
            Self::Memory(_) => None,
            Self::RabbitMq(bus) => bus.obstacle(),
        }
    }

    /// Whether the bus answers now.
    pub async fn is_available(&self) -> bool {
        match self {
            Self::Memory(_) => true,
            Self::RabbitMq(bus) => bus.is_available().await,
        }
    }
}
