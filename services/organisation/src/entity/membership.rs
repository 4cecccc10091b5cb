use kernel::{Time, Uuid};
use sea_orm::{
    ActiveValue::Set,
    ConnectionTrait, DatabaseTransaction, FromQueryResult, JoinType, QuerySelect as _,
    entity::prelude::*,
    sea_query::{LockType, OnConflict},
};

use super::{ancestor, membership_role, organisation::PLATFORM};
use crate::domain::{
    rights::Rights,
    role::{Role, Roles},
};

/// A user or service account in an organisation.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "memberships")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub subject_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub organisation_id: Uuid,
    /// UUIDv7: the order of joining.
    pub id: Uuid,
    pub created_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

#[derive(FromQueryResult)]
struct Held {
    distance: i32,
    role: String,
}

/// The rights of a subject at an organisation; none if there is no such organisation.
pub(crate) async fn rights(
    connection: &impl ConnectionTrait,
    subject: Uuid,
    organisation: Uuid,
) -> Result<Rights, DbErr> {
    let held = held(subject, organisation).into_model::<Held>().all(connection).await?;
    Ok(collect(held))
}

/// The same, held until the end of the transaction: nobody takes these roles away meanwhile.
pub(crate) async fn rights_held(
    tx: &DatabaseTransaction,
    subject: Uuid,
    organisation: Uuid,
) -> Result<Rights, DbErr> {
    let locked = held(subject, organisation).lock(LockType::Share);
    Ok(collect(locked.into_model::<Held>().all(tx).await?))
}

fn held(subject: Uuid, organisation: Uuid) -> Select<membership_role::Entity> {
    let to_ancestor = membership_role::Entity::belongs_to(ancestor::Entity)
        .from(membership_role::Column::OrganisationId)
        .to(ancestor::Column::AncestorId);
    membership_role::Entity::find()
        .select_only()
        .column(ancestor::Column::Distance)
        .column(membership_role::Column::Role)
        .join(JoinType::InnerJoin, to_ancestor.into())
        .filter(ancestor::Column::OrganisationId.eq(organisation))
        .filter(membership_role::Column::SubjectId.eq(subject))
}

fn collect(held: Vec<Held>) -> Rights {
    let roles = held.into_iter().filter_map(|Held { distance, role }| {
        // An unknown role is one of a later version of ours: it grants nothing here.
        Some((distance, Role::parse(&role).ok()?))
    });
    Rights(roles.collect())
}

/// Adds roles to a subject's membership, which begins if there is none.
pub(crate) async fn grant(
    tx: &impl ConnectionTrait,
    subject: Uuid,
    organisation: Uuid,
    roles: &Roles,
    id: Uuid,
    now: Time,
) -> Result<(), DbErr> {
    let membership = ActiveModel {
        subject_id: Set(subject),
        organisation_id: Set(organisation),
        id: Set(id),
        created_at: Set(now),
    };
    let exists =
        OnConflict::columns([Column::SubjectId, Column::OrganisationId]).do_nothing().to_owned();
    Entity::insert(membership).on_conflict(exists).exec_without_returning(tx).await?;
    let rows = roles.iter().map(|role| membership_role::ActiveModel {
        subject_id: Set(subject),
        organisation_id: Set(organisation),
        role: Set(role.as_str().to_owned()),
    });
    let held = OnConflict::new().do_nothing().to_owned();
    membership_role::Entity::insert_many(rows).on_conflict(held).exec_without_returning(tx).await?;
    Ok(())
}

/// Whether anybody is owner of the platform.
pub(crate) async fn platform_has_owner(connection: &impl ConnectionTrait) -> Result<bool, DbErr> {
    let owner = membership_role::Entity::find()
        .filter(membership_role::Column::OrganisationId.eq(PLATFORM))
        .filter(membership_role::Column::Role.eq(Role::Owner.as_str()));
    Ok(owner.one(connection).await?.is_some())
}
