//! The organisation service: where people belong and what they may do.
//!
//! - `organisations/`: the tree.
//! - `memberships/`: who belongs where.
//! - `roles/`: named sets of permissions; the catalogue is `domain/permission.rs`.
//! - `permissions/`: what somebody may do.
//! - `invitations/`: the main job.
//! - `access_requests/`: four eyes on what somebody gets.
//! - `applications/`: what members get access to.
//! - `audit/`: the history.
//! - `consumers/`: what it hears from others.
//!
//! A use case reads a `Call`, and changes things in a `Change`: one transaction with its events, its
//! place in the history, and the answer that a repetition of the call gets.
//!
//! Rights are decided by one question (`entity::membership::rights`): which roles does a subject
//! hold at a node or above it? The tree's ancestry is a closure table, so that the question is one
//! probe of two indexes for each of at most nine nodes, at every depth and for any number of
//! memberships.

mod access_requests;
mod applications;
mod audit;
pub mod audit_chain;
mod call;
mod change;
mod consumers;
mod domain;
mod entity;
mod error;
mod grpc;
mod invitations;
mod joining;
mod limits;
mod making;
mod memberships;
mod migration;
mod offer;
mod organisations;
mod permissions;
mod prepared;
mod roles;
mod settlement;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod webhooks;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use cache::Cache;
use db::{Database, DbErr};
use kernel::{Clock, Duration, SealKey, Time, Uuid};
use sea_orm::ConnectionTrait;
use service::{Check, Chore, Infra, Module, Peers};

use crate::{
    call::Call,
    domain::{access_request::Patience, rights::Rights},
    entity::membership,
    limits::Limits,
    webhooks::Webhooks,
};

const NAME: &str = "organisation";

/// The RPC that needs no token: the link's token is its credential.
const PUBLIC: &[&str] = &["/usher.organisation.v1.InvitationService/InspectInvitationLink"];

/// What every use case works with.
#[derive(Clone)]
struct Organisations {
    database: Database,
    clock: Clock,
    cache: Cache,
    peers: Peers,
    link_key: SealKey,
    callback_key: SealKey,
    public_url: String,
    max_depth: i32,
    link_life: Duration,
    patience: Patience,
    /// How long before its end an invitation is reminded of; zero for never.
    reminder: Duration,
    limits: Limits,
    /// What a row of an import may take.
    rpc_timeout: std::time::Duration,
}

impl Organisations {
    fn new(infra: &Infra, database: Database) -> anyhow::Result<Self> {
        Ok(Self {
            database,
            clock: infra.clock.clone(),
            cache: infra.cache.clone(),
            peers: infra.peers(NAME)?,
            link_key: infra.seal_key("invitation-link"),
            callback_key: infra.seal_key("callback"),
            public_url: infra.settings.public_url.clone(),
            max_depth: i32::try_from(infra.settings.organisation_depth)?,
            link_life: infra.settings.invitation_life,
            patience: Patience {
                overdue: Duration::days(infra.settings.access_request_overdue_days),
                expiry: Duration::days(infra.settings.access_request_expiry_days),
            },
            reminder: infra.settings.invitation_reminder,
            limits: Limits::of(&infra.settings),
            rpc_timeout: infra.settings.rpc_timeout,
        })
    }

    /// When the invitee is reminded, of an invitation that from now on runs until `expires_at`.
    fn remind_at(&self, now: Time, expires_at: Time) -> Option<Time> {
        domain::invitation::remind_at(now, expires_at, self.reminder)
    }

    /// The caller's rights at an organisation, now.
    async fn rights(
        &self,
        call: &Call,
        connection: &impl ConnectionTrait,
        organisation: Uuid,
    ) -> Result<Rights, DbErr> {
        call.note(organisation);
        membership::rights(connection, call.subject, organisation, self.clock.now()).await
    }
}

/// Applies the migrations; answers how many there were.
pub async fn migrate(infra: &Infra) -> anyhow::Result<usize> {
    Ok(db::migration::migrate::<migration::Migrator>(&infra.database(NAME).await?).await?)
}

/// Builds the service.
pub async fn build(infra: &Infra) -> anyhow::Result<Module> {
    let database = infra.database(NAME).await?;
    if db::migration::pending::<migration::Migrator>(&database).await? > 0 {
        anyhow::bail!(
            "the organisation service's tables are not up to date: run `usher migrate` first"
        );
    }
    let organisations = Organisations::new(infra, database.clone())?;
    let mut module = Module::new(NAME);
    module.consumers = vec![
        consumers::platform_owner_created::consumer(organisations.clone()),
        consumers::delivery_changed::consumer(organisations.clone()),
        consumers::words_changed::consumer(organisations.clone()),
        consumers::invitation_settled::consumer(
            organisations.clone(),
            Webhooks::new(&infra.settings)?,
        ),
    ];
    module.chores = vec![forget_requests(database.clone(), infra.clock.clone())];
    module.timers = vec![
        access_requests::keep_time::timer(organisations.clone()),
        audit::seal::timer(organisations.clone()),
        invitations::expire::timer(organisations.clone()),
        invitations::remind::timer(organisations.clone()),
        memberships::keep_time::timer(organisations.clone()),
    ];
    module.ready = vec![knows_the_platform_owner(database.clone(), infra.clock.clone())];
    module.grpc = Some(grpc::routes(organisations, infra.settings.message_bytes));
    module.public = PUBLIC;
    module.database = Some(database);
    Ok(module)
}

/// Repetitions are known for a day.
fn forget_requests(database: Database, clock: Clock) -> Chore {
    Arc::new(move || {
        let (database, until) = (database.clone(), clock.now() - db::request::REMEMBERED);
        Box::pin(async move { db::request::prune(&database, until).await })
    })
}

/// Before the platform owner is known here nobody could create anything.
fn knows_the_platform_owner(database: Database, clock: Clock) -> Check {
    let known = Arc::new(AtomicBool::new(false));
    Arc::new(move || {
        let (database, known, now) = (database.clone(), known.clone(), clock.now());
        Box::pin(async move {
            if known.load(Ordering::Relaxed) {
                return Ok(());
            }
            match membership::platform_has_owner(database.read(), now).await {
                Ok(true) => {
                    known.store(true, Ordering::Relaxed);
                    Ok(())
                }
                Ok(false) => Err("the platform owner is not known here yet".to_owned()),
                Err(_) => Err("its database is away".to_owned()),
            }
        })
    })
}
