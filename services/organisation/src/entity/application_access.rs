use api::organisation::v1 as proto;
use kernel::{Time, Uuid};
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, QuerySelect as _, entity::prelude::*, sea_query::OnConflict,
};

use super::person;
use crate::domain::role::Roles;

/// A role that a member of an organisation holds in an application.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "application_access")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub subject_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub organisation_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub application_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub role_id: Uuid,
    pub created_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {
    #[sea_orm(
        belongs_to = "super::role::Entity",
        from = "Column::RoleId",
        to = "super::role::Column::Id"
    )]
    Role,
}

impl Related<super::role::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Role.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}

/// One member's access, as callers see it.
pub(crate) fn seen(
    (subject, organisation, application): (Uuid, Uuid, Uuid),
    person: Option<person::Model>,
    roles: Vec<String>,
    since: Time,
) -> proto::ApplicationAccess {
    let (email, display_name) =
        person.map(|person| (person.email, person.display_name)).unwrap_or_default();
    proto::ApplicationAccess {
        application_id: application.to_string(),
        organisation_id: organisation.to_string(),
        user_id: subject.to_string(),
        email,
        display_name,
        roles,
        created_at: Some(api::timestamp(since)),
    }
}

/// The rows of one member's access to one application.
pub(crate) fn of(subject: Uuid, organisation: Uuid, application: Uuid) -> Select<Entity> {
    Entity::find()
        .filter(Column::SubjectId.eq(subject))
        .filter(Column::OrganisationId.eq(organisation))
        .filter(Column::ApplicationId.eq(application))
}

/// Adds roles to a member's access, which begins if there is none.
pub(crate) async fn grant(
    tx: &impl ConnectionTrait,
    subject: Uuid,
    organisation: Uuid,
    application: Uuid,
    roles: &Roles,
    now: Time,
) -> Result<(), DbErr> {
    let rows = roles.iter().map(|role| ActiveModel {
        subject_id: Set(subject),
        organisation_id: Set(organisation),
        application_id: Set(application),
        role_id: Set(role.id),
        created_at: Set(now),
    });
    let held = OnConflict::new().do_nothing().to_owned();
    Entity::insert_many(rows).on_conflict(held).exec_without_returning(tx).await.map(|_| ())
}

/// Whether a subject has access as a member of an organisation.
pub(crate) async fn exists(
    connection: &impl ConnectionTrait,
    subject: Uuid,
    organisation: Uuid,
    application: Uuid,
) -> Result<bool, DbErr> {
    Ok(of(subject, organisation, application).limit(1).one(connection).await?.is_some())
}

/// Gives a member exactly these roles in the place of those before; answers since when they have
/// access. The membership must be held: two that set at once would mix.
pub(crate) async fn set(
    tx: &impl ConnectionTrait,
    subject: Uuid,
    organisation: Uuid,
    application: Uuid,
    roles: &Roles,
    now: Time,
) -> Result<Time, DbErr> {
    let before = of(subject, organisation, application).all(tx).await?;
    let since = before.iter().map(|row| row.created_at).min().unwrap_or(now);
    withdraw(tx, subject, organisation, application).await?;
    grant(tx, subject, organisation, application, roles, since).await?;
    Ok(since)
}

/// Takes a member's access away; `false` if there was none.
pub(crate) async fn withdraw(
    tx: &impl ConnectionTrait,
    subject: Uuid,
    organisation: Uuid,
    application: Uuid,
) -> Result<bool, DbErr> {
    let withdrawn = Entity::delete_many()
        .filter(Column::SubjectId.eq(subject))
        .filter(Column::OrganisationId.eq(organisation))
        .filter(Column::ApplicationId.eq(application))
        .exec(tx)
        .await?;
    Ok(withdrawn.rows_affected > 0)
}
