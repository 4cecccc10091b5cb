//! What those who change a membership share.

use api::organisation::v1::MembershipChanged;
use kernel::{Time, Uuid};
use sea_orm::{
    DatabaseTransaction, ExprTrait as _, QuerySelect as _, UpdateMany,
    entity::prelude::*,
    sea_query::{Expr, LockType},
};

use super::{Column, Entity, Model};
use crate::{
    change::Change,
    domain::role::Roles,
    entity::{access_request, organisation},
};

/// A membership and its roles, held until the end of the transaction: whoever else changes it comes
/// before or after.
pub(crate) async fn hold(
    tx: &DatabaseTransaction,
    subject: Uuid,
    organisation: Uuid,
) -> Result<Option<(Model, Roles)>, DbErr> {
    let found = Entity::find_by_id((subject, organisation)).lock(LockType::NoKeyUpdate);
    let Some(found) = found.one(tx).await? else { return Ok(None) };
    let roles = super::roles(tx, subject, organisation).await?;
    Ok(Some((found, roles)))
}

/// A change of a membership, if it is as it was read; its version rises.
pub(crate) fn update(found: &Model) -> UpdateMany<Entity> {
    Entity::update_many()
        .col_expr(Column::Version, Expr::col(Column::Version).add(1))
        .filter(Column::SubjectId.eq(found.subject_id))
        .filter(Column::OrganisationId.eq(found.organisation_id))
        .filter(Column::Version.eq(found.version))
}

/// Whether an organisation keeps an owner after a change of this membership, as it was before: roots
/// and the platform always do.
///
/// The node's row is held from here to the end of the transaction. Of two owners who go at once the
/// second waits here for the first, and then sees that they are the last.
pub(crate) async fn leaves_owner(
    tx: &DatabaseTransaction,
    before: &Model,
    roles: &Roles,
    now: Time,
) -> Result<bool, DbErr> {
    if !before.owns_for_good(roles, now) {
        return Ok(true);
    }
    let node = organisation::hold(tx, before.organisation_id).await?;
    if node.is_none_or(|node| node.depth > 1) {
        return Ok(true);
    }
    super::has_lasting_owner(tx, before.organisation_id, now).await
}

/// Announces what happened to a membership.
pub(crate) async fn announce(
    change: &Change<'_>,
    key: &'static str,
    subject: Uuid,
    organisation: Uuid,
) -> Result<(), DbErr> {
    let event = MembershipChanged {
        organisation_id: organisation.to_string(),
        subject_id: subject.to_string(),
    };
    change.announce(key, organisation, &event).await
}

/// Ends a membership with what it gives: roles and access to applications go with its row, and open
/// access requests are withdrawn.
pub(crate) async fn end(change: &Change<'_>, found: &Model) -> Result<(), DbErr> {
    let (subject, organisation) = (found.subject_id, found.organisation_id);
    Entity::delete_by_id((subject, organisation)).exec(&**change).await?;
    access_request::withdraw_left(change, subject, organisation).await
}
