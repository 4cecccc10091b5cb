//! RabbitMQ: one topic exchange; for each queue a quorum queue and a delay queue for each retry step;
//! and one queue for what is given up. Declared by whoever consumes, at every connection.

mod consume;
mod publish;
mod topology;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex as StdMutex, PoisonError},
    time::Duration,
};

pub(crate) use consume::Duty;

use lapin::{Channel, Connection, ConnectionProperties, options::ConfirmSelectOptions};
use tokio::time::timeout;

use crate::{Message, RetrySteps};
use publish::Outlet;
use topology::Undeclared;

/// How long the broker may take for one answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long what a consumer puts off may take to be confirmed: nobody else takes it meanwhile, and each
/// further try could be one more message that waits.
const PATIENCE_OF_THE_REFUSED: Duration = Duration::from_secs(60);

/// A broker. It is connected when something is to be done and connected anew after every loss;
/// lapin's own recovery stays off, because it gives up after some tries.
#[derive(Clone)]
pub struct RabbitMq {
    url: String,
    steps: RetrySteps,
    /// For what services publish.
    events: Arc<Outlet>,
    /// For what consumers put off or give up. A broker that is short of memory or disk stops reading
    /// from whoever publishes: over their own connections consumers would stop answering, too.
    refused: Arc<Outlet>,
    /// By who met it: what an older version declared otherwise.
    obstacles: Arc<StdMutex<BTreeMap<&'static str, String>>>,
}

/// A connection and a channel in confirm mode on it.
struct Link {
    connection: Connection,
    channel: Channel,
    /// What was published over it was broken off: its confirmations and returned messages may still
    /// come, and be taken for those of something else.
    is_spent: bool,
}

impl Link {
    fn is_alive(&self) -> bool {
        self.connection.status().connected() && self.channel.status().connected()
    }

    /// Whether the broker has stopped reading from it: it is short of memory or disk.
    fn is_blocked(&self) -> bool {
        self.connection.status().blocked()
    }
}

impl RabbitMq {
    pub(crate) fn new(url: String, steps: RetrySteps) -> Self {
        let events = Arc::new(Outlet::new("publish", PATIENCE));
        let refused = Arc::new(Outlet::new("refuse", PATIENCE_OF_THE_REFUSED));
        Self { url, steps, events, refused, obstacles: Arc::default() }
    }

    pub(crate) fn obstacle(&self) -> Option<String> {
        let obstacles = self.obstacles.lock().unwrap_or_else(PoisonError::into_inner);
        let names: BTreeSet<_> = obstacles.values().collect();
        let lines: Vec<_> = names.into_iter().map(|name| topology::how_it_differs(name)).collect();
        (!lines.is_empty()).then(|| lines.join("; "))
    }

    /// Notes that a declaration was refused for good, or that none of this one's is any longer.
    fn note_obstacle(&self, whose: &'static str, declared: &Result<(), Undeclared>) {
        let mut obstacles = self.obstacles.lock().unwrap_or_else(PoisonError::into_inner);
        match declared {
            Err(undeclared) if undeclared.differs() => {
                let Undeclared { name, error } = undeclared;
                tracing::error!(name, %error, "it was declared otherwise; see the README");
                obstacles.insert(whose, name.clone());
            }
            Err(_) => {}
            Ok(()) => drop(obstacles.remove(whose)),
        }
    }

    async fn connect(&self, purpose: &str) -> lapin::Result<Link> {
        let properties =
            ConnectionProperties::default().with_connection_name(format!("usher {purpose}").into());
        let connecting = async {
            let connection = Connection::connect(&self.url, properties).await?;
            let channel = connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok(Link { connection, channel, is_spent: false })
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
