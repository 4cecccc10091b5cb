//! RabbitMQ: one topic exchange; for each queue a quorum queue and a delay queue for each retry step;
//! and one queue for what is given up. Declared by whoever consumes, at every connection.

mod consume;
mod publish;
mod topology;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex as StdMutex, PoisonError},
    time::Duration,
};

pub(crate) use consume::Duty;

use lapin::{Channel, Connection, ConnectionProperties, options::ConfirmSelectOptions};
use tokio::{sync::Mutex, time::timeout};

use crate::{Message, RetrySteps};

/// How long the broker may take for one answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A broker. It is connected when something is to be done and connected anew after every loss;
/// lapin's own recovery stays off, because it gives up after some tries.
#[derive(Clone)]
pub struct RabbitMq {
    url: String,
    steps: RetrySteps,
    publisher: Arc<Mutex<Option<Link>>>,
    /// By queue: how an older version's declaration differs.
    obstacles: Arc<StdMutex<BTreeMap<String, String>>>,
}

/// A connection and a channel in confirm mode on it.
struct Link {
    connection: Connection,
    channel: Channel,
    /// lapin hands a returned message to whichever confirmation comes next: who publishes single
    /// messages on a shared channel takes turns.
    turn: Mutex<()>,
}

impl Link {
    fn is_alive(&self) -> bool {
        self.connection.status().connected() && self.channel.status().connected()
    }
}

impl RabbitMq {
    pub(crate) fn new(url: String, steps: RetrySteps) -> Self {
        Self { url, steps, publisher: Arc::default(), obstacles: Arc::default() }
    }

    pub(crate) async fn is_available(&self) -> bool {
        // A publish in progress holds the lock, and is a sign of life.
        let Ok(mut publisher) = self.publisher.try_lock() else { return true };
        self.keep_alive(&mut publisher).await.is_ok()
    }

    pub(crate) fn obstacle(&self) -> Option<String> {
        let obstacles = self.obstacles.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<_> =
            obstacles.iter().map(|(queue, how)| format!("{queue}: {how}")).collect();
        (!lines.is_empty()).then(|| lines.join("; "))
    }

    /// Notes that a queue's declaration was refused for good, or that it no longer is.
    fn note_obstacle(&self, queue: &str, declared: &lapin::Result<()>) {
        let mut obstacles = self.obstacles.lock().unwrap_or_else(PoisonError::into_inner);
        match declared {
            Err(error) if topology::differs(error) => {
                tracing::error!(queue, %error, "the queue was declared otherwise; see the README");
                let how = "declared otherwise by another version; empty it and delete it";
                obstacles.insert(queue.to_owned(), how.to_owned());
            }
            Err(_) => {}
            Ok(()) => drop(obstacles.remove(queue)),
        }
    }

    /// Connects `link` unless it is.
    async fn keep_alive<'a>(&self, link: &'a mut Option<Link>) -> lapin::Result<&'a Link> {
        if !link.as_ref().is_some_and(Link::is_alive) {
            *link = None;
        }
        match link {
            Some(link) => Ok(link),
            None => Ok(link.insert(self.connect("publish").await?)),
        }
    }

    async fn connect(&self, purpose: &str) -> lapin::Result<Link> {
        let properties =
            ConnectionProperties::default().with_connection_name(format!("usher {purpose}").into());
        let connecting = async {
            let connection = Connection::connect(&self.url, properties).await?;
            let channel = connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            topology::declare_exchange(&channel).await?;
            Ok(Link { connection, channel, turn: Mutex::default() })
        };
        timeout(PATIENCE, connecting).await.unwrap_or_else(|_| {
            let slow = std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer within 10 s");
            Err(lapin::ErrorKind::IOError(Arc::new(slow)).into())
        })
    }
}

/// The message's name in log lines.
fn label(message: &Message) -> String {
    format!("{} {}", message.routing_key, message.id)
}
