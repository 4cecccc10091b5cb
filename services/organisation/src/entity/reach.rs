//! How far a subject's rights reach: the question of `entity::membership::rights` turned round, for
//! lists that are of no one organisation.

use kernel::{Time, Uuid};
use sea_orm::{
    ConnectionTrait, ExprTrait as _, JoinType, QuerySelect as _, QueryTrait as _,
    entity::prelude::*,
    sea_query::{Expr, SelectStatement},
};

use super::{ancestor, membership, membership_role, organisation, role};
use crate::domain::permission::Permission;

/// The organisations where a subject holds a permission at a moment, whether or not they may see
/// them: that is another permission. Archived ones are left out.
pub(crate) fn of(
    connection: &impl ConnectionTrait,
    subject: Uuid,
    permission: Permission,
    now: Time,
) -> SelectStatement {
    given(connection, subject, permission, now)
        .select_only()
        .column(ancestor::Column::OrganisationId)
        .into_query()
}

/// The same with archived ones, for lists that show those. Served by
/// `organisation_ancestors_ancestor`; it costs what is found.
pub(crate) fn of_all(
    connection: &impl ConnectionTrait,
    subject: Uuid,
    permission: Permission,
    now: Time,
) -> SelectStatement {
    let given_at = held(connection, subject, permission, now)
        .select_only()
        .column(membership_role::Column::OrganisationId)
        .into_query();
    ancestor::Entity::find()
        .select_only()
        .column(ancestor::Column::OrganisationId)
        .filter(ancestor::Column::AncestorId.in_subquery(given_at))
        .into_query()
}

/// Whether a subject holds a permission at the organisation of a query's row, archived or not. A row
/// costs at most ten probes of two primary keys, whatever else the subject holds.
pub(crate) fn row(
    connection: &impl ConnectionTrait,
    subject: Uuid,
    permission: Permission,
    now: Time,
) -> Expr {
    let row = (organisation::Entity, organisation::Column::Id);
    let above = ancestor::Entity::find()
        .select_only()
        .column(ancestor::Column::OrganisationId)
        .filter(Expr::col((ancestor::Entity, ancestor::Column::OrganisationId)).equals(row));
    let held = membership::holding(connection, above, subject, now);
    Expr::exists(held.filter(role::allowing(permission)).into_query())
}

/// Whether a subject holds a permission at an organisation or anywhere below it.
pub(crate) async fn into(
    connection: &impl ConnectionTrait,
    subject: Uuid,
    permission: Permission,
    organisation: Uuid,
    now: Time,
) -> Result<bool, DbErr> {
    let below = ancestor::Entity::find()
        .select_only()
        .column(ancestor::Column::OrganisationId)
        .filter(ancestor::Column::AncestorId.eq(organisation))
        .into_query();
    let found = given(connection, subject, permission, now)
        .filter(ancestor::Column::OrganisationId.in_subquery(below))
        .limit(1);
    Ok(found.one(connection).await?.is_some())
}

fn given(
    connection: &impl ConnectionTrait,
    subject: Uuid,
    permission: Permission,
    now: Time,
) -> Select<membership_role::Entity> {
    let to_below = membership_role::Entity::belongs_to(ancestor::Entity)
        .from(membership_role::Column::OrganisationId)
        .to(ancestor::Column::AncestorId);
    let to_organisation = ancestor::Entity::belongs_to(organisation::Entity)
        .from(ancestor::Column::OrganisationId)
        .to(organisation::Column::Id);
    held(connection, subject, permission, now)
        .join(JoinType::InnerJoin, to_below.into())
        .join(JoinType::InnerJoin, to_organisation.into())
        .filter(organisation::Column::ArchivedBy.is_null())
}

/// The roles that count now and allow it.
fn held(
    connection: &impl ConnectionTrait,
    subject: Uuid,
    permission: Permission,
    now: Time,
) -> Select<membership_role::Entity> {
    let held = membership_role::Entity::find()
        .join(JoinType::InnerJoin, membership_role::Relation::Role.def())
        .filter(membership_role::Column::SubjectId.eq(subject))
        .filter(membership::counts(now))
        .filter(role::allowing(permission));
    membership::with_membership(connection, held)
}

/// The organisations that are not archived.
pub(crate) fn open_organisations() -> SelectStatement {
    organisation::Entity::find()
        .select_only()
        .column(organisation::Column::Id)
        .filter(organisation::Column::ArchivedBy.is_null())
        .into_query()
}
