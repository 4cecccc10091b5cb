//! The attempts of a consumer at an event, counted in its own database, so that the count outlives
//! what a broker knows: a copy that comes as if for the first time changes nothing.
//!
//! There are rows of refused events alone. They are removed like those of the inbox.

use kernel::{Time, Uuid};
use sea_orm::{
    ActiveValue::Set,
    IntoActiveModel as _, QuerySelect as _,
    entity::prelude::*,
    sea_query::{LockType, OnConflict},
};

use crate::Database;

/// An event that a consumer has refused.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "attempts")]
pub struct Model {
    /// The queue's name.
    #[sea_orm(primary_key, auto_increment = false)]
    pub consumer: String,
    /// The event's identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub event_id: Uuid,
    /// How often it was refused since it was begun, or begun anew.
    pub attempts: i32,
    /// Whether it was given up: a replay begins anew.
    pub is_given_up: bool,
    /// Why it was refused last.
    pub last_error: String,
    /// When it was refused first.
    pub created_at: DateTimeUtc,
    /// When it was refused last.
    pub updated_at: DateTimeUtc,
}

/// None.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// That a consumer has refused an event.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    /// The queue's name.
    pub consumer: &'a str,
    /// The event's identifier.
    pub event_id: Uuid,
    /// Whether no further attempt can help.
    pub for_good: bool,
    /// Whether an operator has handed the event in again: what was given up begins anew.
    pub is_replayed: bool,
    /// Why, in words for an operator.
    pub why: &'a str,
}

/// How much of an error is kept, in characters.
const LONGEST: usize = 500;

/// Counts a refusal, in a transaction of its own; answers which attempt it was, from 1. It is the last
/// when it is more than `most`.
pub async fn count(
    database: &Database,
    refused: Refused<'_>,
    most: usize,
    now: Time,
) -> Result<u32, DbErr> {
    let Refused { consumer, event_id, for_good, is_replayed, why } = refused;
    let first = ActiveModel {
        consumer: Set(consumer.to_owned()),
        event_id: Set(event_id),
        attempts: Set(0),
        is_given_up: Set(false),
        last_error: Set(String::new()),
        created_at: Set(now),
        updated_at: Set(now),
    };
    let there = OnConflict::columns([Column::Consumer, Column::EventId]).do_nothing().to_owned();
    let tx = database.begin().await?;
    Entity::insert(first).on_conflict(there).exec_without_returning(&*tx).await?;
    let key = (consumer.to_owned(), event_id);
    let row = Entity::find_by_id(key).lock(LockType::NoKeyUpdate).one(&*tx).await?;
    let mut row = row.ok_or(DbErr::RecordNotUpdated)?;
    if row.is_given_up && is_replayed {
        row.attempts = 0;
    }
    row.attempts = row.attempts.saturating_add(1);
    let attempts = u32::try_from(row.attempts).unwrap_or(1);
    row.is_given_up = for_good || usize::try_from(attempts).is_ok_and(|attempts| attempts > most);
    row.last_error =
        why.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    row.updated_at = now;
    Entity::update(row.into_active_model().reset_all()).exec(&*tx).await?;
    tx.commit().await?;
    Ok(attempts)
}

/// Forgets events refused for the last time before `until`; later than any retry can bring one back.
pub async fn prune(database: &Database, until: Time) -> Result<(), DbErr> {
    Entity::delete_many().filter(Column::UpdatedAt.lt(until)).exec(database.read()).await?;
    Ok(())
}
