//! The identity service: who exists, and how they prove it.
//!
//! - `users/`: the signed-in person, one user, the account of an invited address, enrolment.
//! - `sessions/`: sign-in, refresh, sign-out.
//! - `service_accounts/`: callers that are not people.
//! - `keys/`: the keys that verify access tokens.
//! - `owner/`: the platform owner, at the first start.

mod domain;
mod entity;
mod error;
mod grpc;
mod hashing;
mod keys;
mod migration;
mod owner;
mod service_accounts;
mod sessions;
#[cfg(test)]
mod testing;
mod tokens;
mod users;

pub use owner::create::Owner;

use std::sync::Arc;

use db::Database;
use kernel::{Clock, SealKey};
use service::{Infra, Module, Peers, Signer};

use crate::hashing::Hashing;

const NAME: &str = "identity";

/// The RPCs that need no token: each is given its credential in the request.
const PUBLIC: &[&str] = &[
    "/usher.identity.v1.SessionService/CreateSession",
    "/usher.identity.v1.SessionService/RefreshSession",
    "/usher.identity.v1.UserService/EnrolUser",
    "/usher.identity.v1.ServiceAccountService/IssueServiceToken",
    "/usher.identity.v1.KeyService/GetKeySet",
];

/// What every use case works with.
#[derive(Clone)]
struct Identity {
    database: Database,
    cache: cache::Cache,
    clock: Clock,
    signer: Signer,
    refresh_key: SealKey,
    hashing: Arc<Hashing>,
    peers: Peers,
}

/// Applies the migrations; answers how many there were.
pub async fn migrate(infra: &Infra) -> anyhow::Result<usize> {
    Ok(db::migration::migrate::<migration::Migrator>(&infra.database(NAME).await?).await?)
}

/// Builds the service. At the first start it creates the platform owner, and at every start the
/// accounts of the other services from the settings.
pub async fn build(infra: &Infra) -> anyhow::Result<(Module, Owner)> {
    let database = infra.database(NAME).await?;
    if db::migration::pending::<migration::Migrator>(&database).await? > 0 {
        anyhow::bail!(
            "the identity service's tables are not up to date: run `usher migrate` first"
        );
    }
    let identity = Identity {
        database: database.clone(),
        cache: infra.cache.clone(),
        clock: infra.clock.clone(),
        signer: infra.signer(),
        refresh_key: infra.seal_key("refresh-token"),
        hashing: Arc::new(Hashing::new(infra.settings.hashing_permits)),
        peers: infra.peers(NAME)?,
    };
    service_accounts::seed::seed(&identity, &infra.settings.service_secrets).await?;
    let owner = owner::create::create(&identity, &infra.settings).await?;
    let mut module = Module::new(NAME);
    let (sessions, clock) = (database.clone(), identity.clock.clone());
    module.chores = vec![Arc::new(move || {
        let (sessions, now) = (sessions.clone(), clock.now());
        Box::pin(async move { entity::session::prune(&sessions, now).await })
    })];
    module.grpc = Some(grpc::routes(identity, infra.settings.message_bytes));
    module.public = PUBLIC;
    module.database = Some(database);
    Ok((module, owner))
}
