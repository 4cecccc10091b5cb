//! Requests that may be repeated (AIP-155): a caller who did not hear the answer sends the request
//! again under its identifier, and gets the answer of the first. The identifier is noted in the
//! transaction of the request's effect, so that there is never one without the other.

use kernel::{Duration, Time, Uuid};
use sea_orm::{
    ActiveValue::Set,
    ExprTrait as _, QueryOrder as _, QuerySelect as _, QueryTrait as _,
    entity::prelude::*,
    sea_query::{Expr, LockBehavior, LockType, OnConflict},
};

use crate::{Database, Transaction};

/// How long a request is remembered. Afterwards its identifier is as good as new.
pub const REMEMBERED: Duration = Duration::hours(24);
/// How many rows one statement removes: it holds their locks, and on SQLite everybody's.
const BATCH: u64 = 1_000;

/// A request that was carried out.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "requests")]
pub struct Model {
    /// Who asked: a user or a service account. One caller's identifiers say nothing about another's.
    #[sea_orm(primary_key, auto_increment = false)]
    pub caller: Uuid,
    /// The identifier that the caller gave the request.
    #[sea_orm(primary_key, auto_increment = false)]
    pub request_id: Uuid,
    /// Such as `CreateInvitation`.
    pub method: String,
    /// SHA-256 of the encoded request.
    pub fingerprint: Vec<u8>,
    /// The encoded answer; only the transaction that carries the request out sees it missing.
    pub answer: Option<Vec<u8>>,
    /// When it was carried out.
    pub created_at: DateTimeUtc,
}

/// None.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// A request that its caller may repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The verified caller.
    pub caller: Uuid,
    /// What the caller named the request.
    pub request_id: Uuid,
    /// Such as `CreateInvitation`.
    pub method: &'static str,
    /// SHA-256 of the encoded request.
    pub fingerprint: [u8; 32],
}

/// What is known about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Nothing: carry it out, and give [`answer`] its answer before the commit.
    First,
    /// It was carried out: this is the encoded answer. Change nothing.
    Repeated(Vec<u8>),
    /// The caller gave another request this identifier. Change nothing.
    Conflict,
}

/// Notes a request in the transaction that carries it out, before anything else in it. A repetition
/// waits here for the end of the first. It fails if the first was committed without its answer,
/// which is a fault of ours.
pub async fn begin(tx: &Transaction, key: &Key, now: Time) -> Result<Begun, DbErr> {
    let row = ActiveModel {
        caller: Set(key.caller),
        request_id: Set(key.request_id),
        method: Set(key.method.to_owned()),
        fingerprint: Set(key.fingerprint.to_vec()),
        answer: Set(None),
        created_at: Set(now),
    };
    // One statement writes the row or takes a forgotten one's place. It also locks a row that it
    // leaves as it is, so that nobody prunes it before it is read.
    let known = OnConflict::columns([Column::Caller, Column::RequestId])
        .update_columns([Column::Method, Column::Fingerprint, Column::Answer, Column::CreatedAt])
        .action_and_where(Expr::col((Entity, Column::CreatedAt)).lte(now - REMEMBERED))
        .to_owned();
    if Entity::insert(row).on_conflict(known).exec_without_returning(&**tx).await? == 1 {
        return Ok(Begun::First);
    }
    let lost = |what| DbErr::Custom(format!("request {} {what}", key.request_id));
    let row = Entity::find_by_id((key.caller, key.request_id)).one(&**tx).await?;
    let row = row.ok_or_else(|| lost("is gone although it is locked"))?;
    if row.method != key.method || row.fingerprint != key.fingerprint {
        return Ok(Begun::Conflict);
    }
    row.answer.map(Begun::Repeated).ok_or_else(|| lost("was committed without its answer"))
}

/// Notes the encoded answer of a request that [`begin`] called the first, in the same transaction.
pub async fn answer(tx: &Transaction, key: &Key, bytes: Vec<u8>) -> Result<(), DbErr> {
    let noted = Entity::update_many()
        .col_expr(Column::Answer, Expr::value(bytes))
        .filter(Column::Caller.eq(key.caller))
        .filter(Column::RequestId.eq(key.request_id))
        .exec(&**tx)
        .await?;
    if noted.rows_affected == 1 { Ok(()) } else { Err(DbErr::RecordNotUpdated) }
}

/// Forgets requests that were carried out before `until`; give it what is [`REMEMBERED`] at least.
/// Several instances may do so at once: on PostgreSQL they skip one another's rows.
pub async fn prune(database: &Database, until: Time) -> Result<(), DbErr> {
    let oldest = Entity::find()
        .select_only()
        .columns([Column::Caller, Column::RequestId])
        .filter(Column::CreatedAt.lt(until))
        .order_by_asc(Column::CreatedAt)
        .limit(BATCH)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .into_query();
    let key = [Column::Caller, Column::RequestId].map(Expr::col);
    let batch = Entity::delete_many().filter(Expr::tuple(key).in_subquery(oldest));
    while batch.clone().exec(database.read()).await?.rows_affected >= BATCH {}
    Ok(())
}
