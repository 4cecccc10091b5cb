//! A move of an organisation to another parent, as its preview and the move itself see it.

use kernel::{Uuid, sha256};
use sea_orm::{
    ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    entity::prelude::*,
};

use super::{
    ancestor, membership,
    organisation::{self, PLATFORM, chain},
    role, role_use,
};
use crate::{
    Organisations,
    call::Call,
    domain::{permission::Permission, rights::Denied},
    error::Error,
};

/// A move that is allowed and possible.
pub(crate) struct Relocation {
    pub moved: organisation::Model,
    /// What is above it before, and after; the nearest first, without the platform.
    pub before: Vec<organisation::Model>,
    pub after: Vec<organisation::Model>,
    /// The identifiers of what moves, itself included, in their order.
    pub nodes: Vec<Uuid>,
}

impl Relocation {
    /// The new parent; for a root the platform.
    pub(crate) fn to(&self) -> Uuid {
        self.after.first().map_or(PLATFORM, |parent| parent.id)
    }

    /// How many tiers it sinks.
    pub(crate) fn sinks_by(&self) -> i32 {
        self.after.first().map_or(0, |parent| parent.depth) + 1 - self.moved.depth
    }

    /// What is above it only before.
    pub(crate) fn left(&self) -> Vec<Uuid> {
        let stays = |id: &Uuid| self.after.iter().any(|node| node.id == *id);
        self.before.iter().map(|node| node.id).filter(|id| !stays(id)).collect()
    }

    /// What is above it only after.
    pub(crate) fn joined(&self) -> Vec<Uuid> {
        let was = |id: &Uuid| self.before.iter().any(|node| node.id == *id);
        self.after.iter().map(|node| node.id).filter(|id| !was(id)).collect()
    }

    /// The root before, if another is it after.
    pub(crate) fn root_left(&self) -> Option<Uuid> {
        let root =
            |above: &[organisation::Model]| above.last().map_or(self.moved.id, |node| node.id);
        let before = root(&self.before);
        (before != root(&self.after)).then_some(before)
    }

    /// What the move depends on, as a digest: the organisation and those above it before and after
    /// with their versions, and which organisations move. Who belongs to them is no part of it: it
    /// changes all the time, and a move changes nobody's membership.
    pub(crate) fn etag(&self) -> String {
        let mut bytes = Vec::new();
        for part in [std::slice::from_ref(&self.moved), &self.before, &self.after] {
            bytes.extend(part.len().to_be_bytes());
            for node in part {
                bytes.extend(node.id.as_bytes());
                bytes.extend(node.version.to_be_bytes());
            }
        }
        // All of them, not their number: one may have left and another come.
        for id in &self.nodes {
            bytes.extend(id.as_bytes());
        }
        sha256(&bytes)[..16].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Plans a move: without a new parent, to become a root.
///
/// Needs `organisations.move` where the organisation is taken from and where it is brought to; what
/// the caller may not see is hidden. Refused: below itself or to where it is; into or out of an
/// archive; deeper than the tree may be; away from the root whose custom roles are in use in it; and
/// to become a root that nobody owns for good.
pub(crate) async fn plan(
    service: &Organisations,
    call: &Call,
    connection: &impl ConnectionTrait,
    id: Uuid,
    new_parent: Option<Uuid>,
) -> Result<Relocation, Error> {
    if id == PLATFORM {
        return Err(Error::OrganisationNotFound);
    }
    let rights = service.rights(call, connection, id).await?;
    rights.require(Permission::OrganisationsRead)?;
    if !rights.allow_above(Permission::OrganisationsMove) {
        return Err(Denied::Missing(Permission::OrganisationsMove).into());
    }
    if new_parent == Some(PLATFORM) {
        return Err(Error::OrganisationNotFound);
    }
    let at_new = service.rights(call, connection, new_parent.unwrap_or(PLATFORM)).await?;
    match at_new.require(Permission::OrganisationsMove) {
        // That there is a platform is no secret.
        Err(_) if new_parent.is_none() => {
            return Err(Denied::Missing(Permission::OrganisationsMove).into());
        }
        denied => denied?,
    }
    if rights.archived {
        return Err(Denied::Archived.into());
    }
    let relocation = find(connection, id, new_parent).await?.ok_or(Error::OrganisationNotFound)?;
    refuse(service, connection, &relocation).await?;
    Ok(relocation)
}

async fn find(
    connection: &impl ConnectionTrait,
    id: Uuid,
    new_parent: Option<Uuid>,
) -> Result<Option<Relocation>, DbErr> {
    let mut before = chain(connection, id).await?;
    if before.is_empty() {
        return Ok(None);
    }
    let moved = before.remove(0);
    let after = match new_parent {
        Some(parent) => chain(connection, parent).await?,
        None => Vec::new(),
    };
    let nodes = ancestor::Entity::find()
        .select_only()
        .column(ancestor::Column::OrganisationId)
        .filter(ancestor::Column::AncestorId.eq(id))
        .order_by_asc(ancestor::Column::OrganisationId)
        .into_tuple()
        .all(connection)
        .await?;
    Ok(Some(Relocation { moved, before, after, nodes }))
}

async fn refuse(
    service: &Organisations,
    connection: &impl ConnectionTrait,
    relocation: &Relocation,
) -> Result<(), Error> {
    let Relocation { moved, after, .. } = relocation;
    let below_itself = after.iter().any(|node| node.id == moved.id);
    if below_itself || moved.parent_id == Some(relocation.to()) {
        return Err(Error::MovePointless);
    }
    let deepest = ancestor::Entity::find()
        .filter(ancestor::Column::AncestorId.eq(moved.id))
        .order_by_desc(ancestor::Column::Distance)
        .one(connection)
        .await?;
    let height = deepest.map_or(0, |row| row.distance);
    if moved.depth + relocation.sinks_by() + height > service.max_depth {
        return Err(Error::DepthExceeded { max_depth: service.max_depth });
    }
    if let Some(root) = relocation.root_left() {
        let roles = role::of_root(root).all(connection).await?;
        if let Some(role) = role_use::in_use_below(connection, &roles, moved.id).await? {
            return Err(Error::RoleLeftBehind { role });
        }
    }
    let now = service.clock.now();
    let becomes_root = after.is_empty();
    if becomes_root && !membership::has_lasting_owner(connection, moved.id, now).await? {
        return Err(Error::LastOwner);
    }
    Ok(())
}
