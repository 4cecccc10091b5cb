//! The outbox: events are written in the transaction of the change that they tell of, and leave
//! for the bus after it. An event is removed when the bus has it for certain, so it leaves at
//! least once.
//!
//! The events of one subject leave in the order in which they were written, one at a time. An event
//! that was refused steps aside: it is tried again by itself, and those behind it go on.

use kernel::{Duration, Time, Uuid};
use sea_orm::{
    ActiveValue::Set,
    Condition, ExprTrait as _, QueryOrder as _, QuerySelect as _,
    entity::prelude::*,
    sea_query::{Alias, Expr, IntoIden, LockBehavior, LockType, OnConflict, Query},
};

use crate::{Database, Engine, Transaction};

/// An event on its way out.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "outbox")]
pub struct Model {
    /// The event's identifier, the same at every attempt.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Such as `organisation.invitation.created.v1`.
    pub routing_key: String,
    /// What the event is about.
    pub subject: Uuid,
    /// Protobuf.
    pub payload: Vec<u8>,
    /// The W3C trace context of the request that caused it.
    pub traceparent: Option<String>,
    /// When it happened.
    pub created_at: DateTimeUtc,
    /// Not to be claimed before; a claim moves it to the end of its lease.
    pub available_at: DateTimeUtc,
    /// How often it was refused: by a consumer in this process, or because no queue was bound.
    pub attempts: i32,
    /// Why it was given up; such rows stay for an operator.
    pub dead: Option<String>,
    /// Whether it stays here until a queue has it.
    pub must_arrive: bool,
    /// The one queue that it is for, if it is not for all that are bound.
    pub queue: Option<String>,
    /// The service that it came from at first, if that is not this one.
    pub source: Option<String>,
    /// Why it was refused last; empty if it was not.
    pub last_error: String,
}

/// None.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// An event to be published.
pub struct Event {
    /// UUIDv7.
    pub id: Uuid,
    /// Such as `organisation.invitation.created.v1`.
    pub routing_key: String,
    /// The identifier of what it is about.
    pub subject: Uuid,
    /// Protobuf.
    pub payload: Vec<u8>,
    /// The W3C trace context.
    pub traceparent: Option<String>,
    /// When it happened.
    pub at: Time,
    /// Whether it stays in the outbox until a queue has it. Otherwise it also leaves when nobody
    /// listens.
    pub must_arrive: bool,
    /// The one queue that it is for, if it is not for all that are bound.
    pub queue: Option<String>,
    /// The service that it came from at first, if that is not this one.
    pub source: Option<String>,
}

/// Writes events into the transaction of their change.
pub async fn insert(tx: &Transaction, events: Vec<Event>) -> Result<(), DbErr> {
    if events.is_empty() {
        return Ok(());
    }
    Entity::insert_many(events.into_iter().map(row)).exec_without_returning(&**tx).await?;
    tx.mark_published();
    Ok(())
}

/// Writes an event that has been here before. `false` if it still is: then nothing is written, for it
/// may be on its way to another queue than this time.
pub async fn insert_again(tx: &Transaction, event: Event) -> Result<bool, DbErr> {
    let there = OnConflict::column(Column::Id).do_nothing().to_owned();
    let written =
        Entity::insert(row(event)).on_conflict(there).exec_without_returning(&**tx).await?;
    tx.mark_published();
    Ok(written == 1)
}

fn row(event: Event) -> ActiveModel {
    ActiveModel {
        id: Set(event.id),
        routing_key: Set(event.routing_key),
        subject: Set(event.subject),
        payload: Set(event.payload),
        traceparent: Set(event.traceparent),
        created_at: Set(event.at),
        available_at: Set(event.at),
        attempts: Set(0),
        dead: Set(None),
        must_arrive: Set(event.must_arrive),
        queue: Set(event.queue),
        source: Set(event.source),
        last_error: Set(String::new()),
    }
}

/// Claims up to `limit` events that are due, for the length of `lease`: of each subject the first.
/// Several relays share the work: on PostgreSQL they skip one another's rows, on SQLite they take
/// turns.
pub async fn claim(
    database: &Database,
    now: Time,
    lease: Duration,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    // Most polls find nothing: do not take SQLite's write lock for them.
    let takes_turns = database.engine() == Engine::Sqlite;
    if limit == 0 || takes_turns && due(database, now).one(database.read()).await?.is_none() {
        return Ok(Vec::new());
    }
    let lease = if fault::is_off("lease") { Duration::zero() } else { lease };
    let tx = begin_walk(database).await?;
    let rows = due(database, now)
        .order_by_asc(Column::AvailableAt)
        .order_by_asc(Column::Id)
        .limit(limit)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .all(&*tx)
        .await?;
    if rows.is_empty() {
        return Ok(rows);
    }
    Entity::update_many()
        .col_expr(Column::AvailableAt, Expr::value(now + lease))
        .filter(Column::Id.is_in(rows.iter().map(|row| row.id)))
        .exec(&*tx)
        .await?;
    tx.commit().await?;
    Ok(rows)
}

/// Begins a transaction in which PostgreSQL walks along `outbox_due` until it has enough, and looks each
/// up in `outbox_ahead`. It plans for a table as it was when it last looked, which for this one is mostly
/// an empty one, and keeps that plan for a while: by such a one, all that has piled up is read for each
/// event in it.
pub async fn begin_walk(database: &Database) -> Result<Transaction, DbErr> {
    let tx = database.begin().await?;
    if database.engine() == Engine::Postgres {
        let off = ["seqscan", "bitmapscan", "sort"];
        let off: String = off.iter().map(|it| format!("SET LOCAL enable_{it} = off;")).collect();
        tx.execute_unprepared(&off).await?;
    }
    Ok(tx)
}

/// The events that may leave now: those before which no other of their subject is on its way.
pub fn due(database: &Database, now: Time) -> Select<Entity> {
    let ahead = Alias::new("ahead");
    let of = |column: Column| Expr::col((ahead.clone(), column));
    let is_ahead = Condition::all()
        .add(of(Column::Subject).equals((Entity, Column::Subject)))
        .add(of(Column::Dead).is_null())
        // As a parameter it would keep a planner from the index.
        .add(of(Column::Attempts).eq(Expr::cust("0")))
        .add(written(database, ahead.clone()).lt(written(database, Entity)));
    let mut ahead =
        Query::select().expr(Expr::value(1)).from_as(Entity, ahead).cond_where(is_ahead).to_owned();
    if database.engine() == Engine::Postgres {
        // It changes nothing, but keeps PostgreSQL from joining the table with itself, for which an index
        // that is read from end to end looks no dearer than one look into it, while both are empty.
        ahead.offset(0);
    }
    Entity::find()
        .filter(Column::Dead.is_null())
        .filter(Column::AvailableAt.lte(now))
        .filter(Expr::exists(ahead).not())
}

/// What counts up with every event that is written: by a sequence that is drawn while the subject's
/// row is locked, because the clocks of two processes may differ.
fn written(database: &Database, table: impl IntoIden) -> Expr {
    let column = match database.engine() {
        Engine::Postgres => "position",
        Engine::Sqlite => "rowid",
    };
    Expr::col((table, Alias::new(column)))
}

/// Makes what a crash left claimed due now, for a relay that knows itself to be the only one and has just
/// begun. What was refused before keeps its time, for nothing tells whether it was claimed or waits for
/// its step, and a restart must not be an attempt: at worst it waits for the end of its lease.
pub async fn release(database: &Database, now: Time) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::AvailableAt, Expr::value(now))
        .filter(Column::Dead.is_null())
        .filter(Column::Attempts.eq(0))
        .filter(Column::AvailableAt.gt(now))
        .exec(database.read())
        .await?;
    Ok(())
}

/// Removes events that the bus has taken.
pub async fn finish(database: &Database, ids: &[Uuid]) -> Result<(), DbErr> {
    if ids.is_empty() {
        return Ok(());
    }
    Entity::delete_many()
        .filter(Column::Id.is_in(ids.iter().copied()))
        .exec(database.read())
        .await?;
    Ok(())
}

/// Puts events back that the bus did not take, to be tried again at `at`.
pub async fn postpone(database: &Database, ids: &[Uuid], at: Time) -> Result<(), DbErr> {
    if ids.is_empty() {
        return Ok(());
    }
    Entity::update_many()
        .col_expr(Column::AvailableAt, Expr::value(at))
        .filter(Column::Id.is_in(ids.iter().copied()))
        .exec(database.read())
        .await?;
    Ok(())
}

/// Puts an event back that was refused, to be tried again at `at`, and counts that. It steps aside.
pub async fn refuse(database: &Database, id: Uuid, at: Time, why: &str) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::AvailableAt, Expr::value(at))
        .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1))
        .col_expr(Column::LastError, Expr::value(why))
        .filter(Column::Id.eq(id))
        .exec(database.read())
        .await?;
    Ok(())
}

/// Sets an event aside for good, visibly.
pub async fn bury(database: &Database, id: Uuid, why: &str) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::Dead, Expr::value(why))
        .filter(Column::Id.eq(id))
        .exec(database.read())
        .await?;
    Ok(())
}

/// The oldest events that were refused or given up.
pub async fn stuck(database: &Database, limit: u64) -> Result<Vec<Model>, DbErr> {
    let stuck = Condition::any().add(Column::Attempts.gt(0)).add(Column::Dead.is_not_null());
    let rows = Entity::find().filter(stuck).order_by_asc(Column::CreatedAt);
    rows.order_by_asc(Column::Id).limit(limit).all(database.read()).await
}

/// Lets stuck events leave at once, all or one; answers how many there were.
pub async fn retry(database: &Database, id: Option<Uuid>, now: Time) -> Result<u64, DbErr> {
    let stuck = Condition::any()
        .add(Column::Dead.is_not_null())
        .add(Column::Attempts.gt(0).and(Column::AvailableAt.gt(now)));
    let mut update = Entity::update_many()
        .col_expr(Column::AvailableAt, Expr::value(now))
        .col_expr(Column::Dead, Expr::value(Option::<String>::None))
        .filter(stuck);
    if let Some(id) = id {
        update = update.filter(Column::Id.eq(id));
    }
    let tx = database.begin().await?;
    let retried = update.exec(&*tx).await?.rows_affected;
    tx.mark_published();
    tx.commit().await?;
    Ok(retried)
}

/// How many events wait, how many were given up, and since when the oldest waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// Waiting or in flight.
    pub waiting: u64,
    /// Those of them that were refused before, and have stepped aside.
    pub refused: u64,
    /// Given up.
    pub dead: u64,
    /// When the oldest waiting event happened.
    pub oldest: Option<Time>,
}

/// Counts the backlog.
pub async fn backlog(database: &Database) -> Result<Backlog, DbErr> {
    let waiting = Entity::find().filter(Column::Dead.is_null());
    let oldest = waiting.clone().order_by_asc(Column::CreatedAt).one(database.read()).await?;
    Ok(Backlog {
        refused: waiting.clone().filter(Column::Attempts.gt(0)).count(database.read()).await?,
        waiting: waiting.count(database.read()).await?,
        dead: Entity::find().filter(Column::Dead.is_not_null()).count(database.read()).await?,
        oldest: oldest.map(|row| row.created_at),
    })
}
