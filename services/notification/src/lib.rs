//! The notification service: how people hear about it. Deliveries are what was mailed to whom and
//! what became of it; templates are what mails say.
//!
//! - [`grpc`]: the RPCs, each delegating to a use case in `deliveries/` or `templates/`.
//! - [`domain`]: rules without I/O. [`engine`]: what fills templates.
//! - [`entity`] and [`migration`]: the table `deliveries`.
//!
//! It publishes no events yet.

mod deliveries;
mod domain;
mod engine;
mod entity;
mod error;
mod grpc;
mod migration;
mod templates;
#[cfg(test)]
mod testing;

use std::sync::Arc;

use anyhow::ensure;
use db::Database;
use kernel::Clock;
use service::{Infra, Module, Peers};

use crate::{engine::Engine, migration::Migrator};

const NAME: &str = "notification";

/// What every use case works with.
struct Notification {
    database: Database,
    clock: Clock,
    peers: Peers,
    engine: Engine,
}

/// The service, ready to be run. It fails while migrations are pending.
pub async fn build(infra: &Infra) -> anyhow::Result<Module> {
    let database = infra.database(NAME).await?;
    let pending = db::migration::pending::<Migrator>(&database).await?;
    ensure!(pending == 0, "{NAME}: {pending} migrations are pending: run `usher migrate` first");
    let notification = Arc::new(Notification {
        database: database.clone(),
        clock: infra.clock.clone(),
        peers: infra.peers(NAME)?,
        engine: Engine::load()?,
    });
    Ok(Module {
        grpc: Some(grpc::routes(notification, infra.settings.message_bytes)),
        database: Some(database),
        ..Module::new(NAME)
    })
}

/// Applies the pending migrations; answers how many there were.
pub async fn migrate(infra: &Infra) -> anyhow::Result<usize> {
    let database = infra.database(NAME).await?;
    Ok(db::migration::migrate::<Migrator>(&database).await?)
}
