//! The notification service: how people hear about it. Deliveries are what was mailed to whom and
//! what became of it; suppressions are addresses that no mail goes to; templates are what mails say.
//! Dead letters are the messages that consumers of whichever service gave up.
//!
//! - [`grpc`]: the RPCs, each delegating to a use case in `deliveries/`, `suppressions/`,
//!   `templates/` or `senders/`. `bounces/` is what nobody asks for: reports arrive in a folder.
//! - [`report`] and [`bouncing`]: what a report about a mail says, and what it leads to.
//! - [`domain`]: rules without I/O. [`engine`]: what fills templates.
//! - [`entity`] and [`migration`]: the tables.
//! - [`rights`]: what the organisation service says of callers and of the tree.
//!
//! Its events are documented in `notification/v1/events.proto`.

mod bounces;
mod bouncing;
mod dead_letters;
mod deliveries;
mod domain;
mod engine;
mod entity;
mod error;
mod grpc;
mod instruments;
mod migration;
mod report;
mod rights;
mod senders;
mod suppressions;
mod templates;
#[cfg(test)]
mod testing;

use std::sync::Arc;

use anyhow::ensure;
use api::notification::v1::Sender;
use bus::{DeadLetterHandler, RetrySteps};
use db::Database;
use kernel::{Clock, MailDomain, SealKey};
use service::{Chore, Infra, Module, Peers};

use crate::{engine::Engine, entity::sender::Said, instruments::Instruments, migration::Migrator};

const NAME: &str = "notification";

/// The RPC that needs no token: the link's token is its credential.
const PUBLIC: &[&str] = &["/usher.notification.v1.SuppressionService/Unsubscribe"];

/// The name that mails come from where nobody says another.
const SENDER: &str = "Usher";

/// What every use case works with.
struct Notification {
    database: Database,
    clock: Clock,
    peers: Peers,
    engine: Engine,
    instruments: Instruments,
    /// How long an attempt that was delayed waits for the next; after the last the delivery is given up.
    retry_steps: RetrySteps,
    /// The domains that mails may come from.
    sender_domains: Vec<MailDomain>,
    /// Seals what stops reminders, and nothing else.
    unsubscribe_key: SealKey,
    /// Where people reach the gateway.
    public_url: String,
    /// Whose name the `Message-ID`s of all mails are in.
    mail_domain: String,
}

impl Notification {
    fn new(infra: &Infra, database: Database) -> anyhow::Result<Self> {
        Ok(Self {
            database,
            clock: infra.clock.clone(),
            peers: infra.peers(NAME)?,
            engine: Engine::load()?,
            instruments: Instruments::new(),
            retry_steps: infra.settings.retry_steps.clone(),
            sender_domains: infra.settings.mail_sender_domains.clone(),
            unsubscribe_key: infra.seal_key("unsubscribe"),
            public_url: infra.settings.public_url.clone(),
            mail_domain: infra.settings.mail_from.domain().to_owned(),
        })
    }

    /// A sender as mails have it. An address of a domain that is no longer among the settings is the
    /// platform's again.
    fn sender(&self, said: Option<Said>) -> Sender {
        let Said { display_name, reply_to, from_address } = said.unwrap_or_default();
        let domain = from_address.rsplit('@').next().unwrap_or_default();
        let is_ours = self.sender_domains.iter().any(|ours| ours.as_str() == domain);
        Sender {
            display_name: if display_name.is_empty() { SENDER.to_owned() } else { display_name },
            reply_to,
            from_address: if is_ours { from_address } else { String::new() },
        }
    }
}

/// The service, ready to be run. It fails while migrations are pending.
pub async fn build(infra: &Infra) -> anyhow::Result<Module> {
    let database = infra.database(NAME).await?;
    let pending = db::migration::pending::<Migrator>(&database).await?;
    ensure!(pending == 0, "{NAME}: {pending} migrations are pending: run `usher migrate` first");
    let notification = Arc::new(Notification::new(infra, database.clone())?);
    let folder = infra.settings.bounce_folder.clone();
    let mut timers = vec![deliveries::recover::timer(notification.clone())];
    timers.extend(folder.map(|folder| bounces::collect::timer(notification.clone(), folder)));
    let (keeper, pruner) = (notification.clone(), notification.clone());
    let dead_letters: DeadLetterHandler = Arc::new(move |dead| {
        let notification = keeper.clone();
        Box::pin(async move { dead_letters::keep::keep(&notification, dead).await })
    });
    let prune: Chore = Arc::new(move || {
        let notification = pruner.clone();
        Box::pin(async move { dead_letters::keep::prune(&notification).await })
    });
    Ok(Module {
        grpc: Some(grpc::routes(notification, infra.settings.message_bytes)),
        database: Some(database),
        public: PUBLIC,
        timers,
        dead_letters: Some(dead_letters),
        chores: vec![prune],
        ..Module::new(NAME)
    })
}

/// Applies the pending migrations; answers how many there were.
pub async fn migrate(infra: &Infra) -> anyhow::Result<usize> {
    let database = infra.database(NAME).await?;
    Ok(db::migration::migrate::<Migrator>(&database).await?)
}
