//! The organisation service: where people belong and what they may do.
//!
//! - `organisations/`: the tree.
//! - `memberships/`: who belongs where.
//! - `invitations/`: the main job.
//! - `permissions/`: what somebody may do.
//! - `consumers/`: what it hears from others.
//!
//! Rights are decided by one question (`entity::membership::rights`): which roles does a subject
//! hold at a node or above it? The tree's ancestry is a closure table, so that the question is one
//! probe of two indexes for each of at most nine nodes, at every depth and for any number of
//! memberships.

mod consumers;
mod domain;
mod entity;
mod error;
mod grpc;
mod invitations;
mod memberships;
mod migration;
mod organisations;
mod permissions;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use db::Database;
use kernel::{Clock, Duration, SealKey};
use service::{Check, Infra, Module, Peers};

const NAME: &str = "organisation";

/// The RPC that needs no token: the link's token is its credential.
const PUBLIC: &[&str] = &["/usher.organisation.v1.InvitationService/InspectInvitationLink"];

/// What every use case works with.
#[derive(Clone)]
struct Organisations {
    database: Database,
    clock: Clock,
    peers: Peers,
    link_key: SealKey,
    public_url: String,
    max_depth: i32,
    link_life: Duration,
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
    let organisations = Organisations {
        database: database.clone(),
        clock: infra.clock.clone(),
        peers: infra.peers(NAME)?,
        link_key: infra.seal_key("invitation-link"),
        public_url: infra.settings.public_url.clone(),
        max_depth: i32::try_from(infra.settings.organisation_depth)?,
        link_life: Duration::hours(infra.settings.invitation_hours),
    };
    let mut module = Module::new(NAME);
    module.consumers = vec![consumers::platform_owner_created::consumer(organisations.clone())];
    module.ready = vec![knows_the_platform_owner(database.clone())];
    module.grpc = Some(grpc::routes(organisations, infra.settings.message_bytes));
    module.public = PUBLIC;
    module.database = Some(database);
    Ok(module)
}

/// Before the platform owner is known here nobody could create anything.
fn knows_the_platform_owner(database: Database) -> Check {
    let known = Arc::new(AtomicBool::new(false));
    Arc::new(move || {
        let (database, known) = (database.clone(), known.clone());
        Box::pin(async move {
            if known.load(Ordering::Relaxed) {
                return Ok(());
            }
            match entity::membership::platform_has_owner(database.read()).await {
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
