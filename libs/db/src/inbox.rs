//! The inbox: a consumer notes each event that it has handled in the transaction of its effect,
//! so that an event that arrives twice has one effect.

use kernel::{Time, Uuid};
use sea_orm::{ActiveValue::Set, entity::prelude::*, sea_query::OnConflict};

use crate::{Database, Transaction};

/// An event that a consumer has handled.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "inbox")]
pub struct Model {
    /// The queue's name.
    #[sea_orm(primary_key, auto_increment = false)]
    pub consumer: String,
    /// The event's identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub event_id: Uuid,
    /// When it was handled.
    pub handled_at: DateTimeUtc,
}

/// None.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Notes the event; `false` if it was handled before, and then the caller changes nothing.
pub async fn claim(
    tx: &Transaction,
    consumer: &str,
    event_id: Uuid,
    now: Time,
) -> Result<bool, DbErr> {
    let row = ActiveModel {
        consumer: Set(consumer.to_owned()),
        event_id: Set(event_id),
        handled_at: Set(now),
    };
    if fault::is_off("inbox") {
        return Ok(true);
    }
    let key = OnConflict::columns([Column::Consumer, Column::EventId]).do_nothing().to_owned();
    let written = Entity::insert(row).on_conflict(key).exec_without_returning(&**tx).await?;
    fault::point("before-inbox-commit");
    Ok(written == 1)
}

/// Whether the event was handled before: for a consumer whose effect is elsewhere, such as a call to
/// somebody, and who claims the event only when that has come about.
pub async fn knows(database: &Database, consumer: &str, event_id: Uuid) -> Result<bool, DbErr> {
    let key = (consumer.to_owned(), event_id);
    Ok(Entity::find_by_id(key).one(database.read()).await?.is_some())
}

/// Forgets events handled before `until`; later than any retry can bring one back.
pub async fn prune(database: &Database, until: Time) -> Result<(), DbErr> {
    Entity::delete_many().filter(Column::HandledAt.lt(until)).exec(database.read()).await?;
    Ok(())
}
