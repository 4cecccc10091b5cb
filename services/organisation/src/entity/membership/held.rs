//! What a subject may do, from the roles that they hold.

use db::probe;
use kernel::{Time, Uuid};
use sea_orm::{
    Condition, ConnectionTrait, DatabaseTransaction, ExprTrait as _, FromQueryResult, JoinType,
    QuerySelect as _, QueryTrait,
    entity::prelude::*,
    sea_query::{Expr, LockType},
};

use super::{Column, Entity, counts};
use crate::{
    domain::rights::{self, Rights},
    entity::{ancestor, membership_role, organisation, role},
};

/// A role that counts, and how far above it was given.
#[derive(FromQueryResult)]
pub(super) struct Held {
    distance: i32,
    role_id: Uuid,
    permissions: i64,
    archived_by: Option<Uuid>,
}

/// The rights of a subject at an organisation at a moment; none if there is no such organisation.
///
/// One query, which enters by the node: of at most nine ancestors it asks what the subject holds there,
/// whatever else they hold. On PostgreSQL 15 with 6,000 organisations and 1,000,000 memberships (19
/// blocks at depth 1, 40 at depth 8; `cargo xtask bench` prints it):
///
/// ```text
/// Nested Loop
///   Index Scan using organisations_pkey              (id = …)
///   Index Scan using organisation_ancestors_pkey     (organisation_id = …)
///     Index Only Scan using membership_roles_held    (subject_id = …, organisation_id = ancestor_id)
///     Seq Scan on roles
///     Index Scan using memberships_pkey              (subject_id = …, organisation_id = ancestor_id)
/// ```
pub(crate) async fn rights(
    connection: &impl ConnectionTrait,
    subject: Uuid,
    organisation: Uuid,
    now: Time,
) -> Result<Rights, DbErr> {
    let held = held(connection, subject, organisation, now);
    Ok(collect(held.into_model().all(connection).await?))
}

/// The same, held until the end of the transaction: nobody takes these roles away meanwhile.
pub(crate) async fn rights_held(
    tx: &DatabaseTransaction,
    subject: Uuid,
    organisation: Uuid,
    now: Time,
) -> Result<Rights, DbErr> {
    // Of the tables read, these two say what the subject holds; the membership first, as whoever
    // changes one takes it.
    let mut locked = held(tx, subject, organisation, now);
    let tables = [Entity.table_ref(), membership_role::Entity.table_ref()];
    QueryTrait::query(&mut locked).lock_with_tables(LockType::Share, tables);
    Ok(collect(locked.into_model().all(tx).await?))
}

fn held(
    connection: &impl ConnectionTrait,
    subject: Uuid,
    organisation: Uuid,
    now: Time,
) -> Select<ancestor::Entity> {
    let above = ancestor::Entity::find()
        .join(JoinType::InnerJoin, to_organisation())
        .filter(ancestor::Column::OrganisationId.eq(organisation));
    columns(holding(connection, above, subject, now))
}

/// Joins to ancestors the roles that a subject was given there, and that count at a moment.
pub(crate) fn holding(
    connection: &impl ConnectionTrait,
    above: Select<ancestor::Entity>,
    subject: Uuid,
    now: Time,
) -> Select<ancestor::Entity> {
    let there = Expr::col((ancestor::Entity, ancestor::Column::AncestorId));
    let membership = counts(now)
        .add(Column::SubjectId.eq(subject))
        .add(there.clone().equals((Entity, Column::OrganisationId)));
    let role = Condition::all()
        .add(membership_role::Column::SubjectId.eq(subject))
        .add(there.equals((membership_role::Entity, membership_role::Column::OrganisationId)));
    let rows = probe(connection, above, Entity, membership);
    probe(connection, rows, membership_role::Entity, role)
        .join(JoinType::InnerJoin, membership_role::Relation::Role.def())
}

/// Joins to roles held the membership that each belongs to.
pub(crate) fn with_membership(
    connection: &impl ConnectionTrait,
    held: Select<membership_role::Entity>,
) -> Select<membership_role::Entity> {
    let column = |column| Expr::col((membership_role::Entity, column));
    let whole_key = Condition::all()
        .add(column(membership_role::Column::SubjectId).equals((Entity, Column::SubjectId)))
        .add(
            column(membership_role::Column::OrganisationId)
                .equals((Entity, Column::OrganisationId)),
        );
    probe(connection, held, Entity, whole_key)
}

/// From an ancestor's row to the organisation whose ancestor it is.
pub(super) fn to_organisation() -> RelationDef {
    ancestor::Entity::belongs_to(organisation::Entity)
        .from(ancestor::Column::OrganisationId)
        .to(organisation::Column::Id)
        .into()
}

/// Selects what [`Held`] has.
pub(super) fn columns<E: EntityTrait>(rows: Select<E>) -> Select<E> {
    rows.select_only()
        .column(ancestor::Column::Distance)
        .column(membership_role::Column::RoleId)
        .column(role::Column::Permissions)
        .column(organisation::Column::ArchivedBy)
}

pub(super) fn collect(rows: Vec<Held>) -> Rights {
    let archived = rows.iter().any(|row| row.archived_by.is_some());
    let held = rows.into_iter().map(|row| rights::Held {
        distance: row.distance,
        role: row.role_id,
        permissions: role::permissions_of(row.role_id, row.permissions),
    });
    Rights { held: held.collect(), archived }
}
