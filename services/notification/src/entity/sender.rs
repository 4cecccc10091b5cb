//! The table `senders`.

use kernel::{Time, Uuid};
use sea_orm::{ActiveValue::Set, QueryOrder as _, QuerySelect as _, Select, entity::prelude::*};

use super::template::rank;
use crate::domain::place::Place;

/// Whom the mails of an organisation and all below it come from.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "senders")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub organisation_id: Uuid,
    pub display_name: String,
    /// Normalised; empty for nowhere else than the sender.
    pub reply_to: String,
    /// Normalised; empty means the platform's.
    pub from_address: String,
    /// Raised with every change.
    pub version: i32,
    pub updated_by: Uuid,
    pub updated_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// What an organisation says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub display_name: String,
    pub reply_to: String,
    pub from_address: String,
}

impl From<Model> for Said {
    fn from(row: Model) -> Self {
        let Model { display_name, reply_to, from_address, .. } = row;
        Self { display_name, reply_to, from_address }
    }
}

/// What applies at a place.
pub(crate) async fn applying(
    connection: &impl ConnectionTrait,
    place: &Place,
) -> Result<Option<Model>, DbErr> {
    nearest(place).one(connection).await
}

pub(super) fn nearest(place: &Place) -> Select<Entity> {
    Entity::find()
        .filter(Column::OrganisationId.is_in(place.organisations().iter().copied()))
        .order_by_asc(rank(Column::OrganisationId, place.organisations()))
        .limit(1)
}

/// What this very organisation says.
pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    organisation_id: Uuid,
) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(organisation_id).one(connection).await
}

/// Compares and sets: what the organisation says from now on, if it still says `before`; `None` if
/// it does not.
pub(crate) async fn save(
    connection: &impl ConnectionTrait,
    organisation_id: Uuid,
    before: Option<&Model>,
    said: Said,
    (by, now): (Uuid, Time),
) -> Result<Option<Model>, DbErr> {
    let Said { display_name, reply_to, from_address } = said;
    let row = Model {
        organisation_id,
        display_name,
        reply_to,
        from_address,
        version: before.map_or(0, |before| before.version) + 1,
        updated_by: by,
        updated_at: now,
    };
    let Some(before) = before else {
        let insert = Entity::insert(ActiveModel::from(row.clone()));
        return match insert.exec_without_returning(connection).await {
            Err(error) if db::is_unique_violation(&error) => Ok(None),
            inserted => inserted.map(|_| Some(row)),
        };
    };
    let update = Entity::update_many()
        .set(ActiveModel {
            organisation_id: Default::default(),
            display_name: Set(row.display_name.clone()),
            reply_to: Set(row.reply_to.clone()),
            from_address: Set(row.from_address.clone()),
            version: Set(row.version),
            updated_by: Set(by),
            updated_at: Set(now),
        })
        .filter(Column::OrganisationId.eq(organisation_id))
        .filter(Column::Version.eq(before.version));
    Ok((update.exec(connection).await?.rows_affected == 1).then_some(row))
}

/// Compares and sets: the organisation says nothing any more; `false` if it changed what it says.
pub(crate) async fn delete(
    connection: &impl ConnectionTrait,
    before: &Model,
) -> Result<bool, DbErr> {
    let delete = Entity::delete_many()
        .filter(Column::OrganisationId.eq(before.organisation_id))
        .filter(Column::Version.eq(before.version));
    Ok(delete.exec(connection).await?.rows_affected == 1)
}
