use db::DbErr;
use sea_orm::{
    ExprTrait as _, IntoActiveModel as _, QueryOrder as _, QuerySelect as _,
    entity::prelude::*,
    sea_query::{Expr, LockType, OnConflict},
};
use service::Timer;

use crate::{
    Organisations, audit_chain,
    entity::{
        audit_chain::{Column as Chain, Entity as Chains},
        audit_record::{Column, Entity, Model},
    },
};

/// How many records get their place in one transaction.
const BATCH: u64 = 500;

/// Gives waiting records their place in the chain, every second.
pub(crate) fn timer(service: Organisations) -> Timer {
    Timer::new("organisation.audit-seal", move || {
        let service = service.clone();
        Box::pin(async move { seal(&service).await })
    })
}

/// Gives the oldest waiting records their places and hashes; answers whether there may be more.
///
/// A change writes its record without a place, so that changes do not wait for one another. Places
/// are given afterwards by whoever holds the chain's one row: one sealer at a time, so that there is
/// no gap and no place is given twice. Records get their places in the order of their making, except
/// that one whose transaction took longer comes after those that were sealed meanwhile.
pub(crate) async fn seal(service: &Organisations) -> Result<bool, DbErr> {
    // Looking first spares SQLite's one writer a transaction every second.
    if oldest_waiting(1).all(service.database.read()).await?.is_empty() {
        return Ok(false);
    }
    let tx = service.database.begin().await?;
    let chain = Chains::find_by_id(1).lock(LockType::Update).one(&*tx).await?;
    let chain = chain.ok_or_else(|| DbErr::RecordNotFound("the head of the chain".to_owned()))?;
    let rows = oldest_waiting(BATCH).all(&*tx).await?;
    let (mut sequence, mut previous_hash) = (chain.sequence, chain.hash);
    let count = rows.len();
    let mut sealed = Vec::with_capacity(count);
    for row in rows {
        sequence += 1;
        let mut row = Model { sequence: Some(sequence), previous_hash: Some(previous_hash), ..row };
        previous_hash = audit_chain::hash(&row.clone().seen()).to_vec();
        row.hash = Some(previous_hash.clone());
        sealed.push(row.into_active_model());
    }
    if count == 0 {
        return Ok(false);
    }
    // One statement writes the batch: every row is there already, and gets three columns.
    let places = OnConflict::column(Column::Id)
        .update_columns([Column::Sequence, Column::PreviousHash, Column::Hash])
        .action_and_where(Expr::col((Entity, Column::Sequence)).is_null())
        .to_owned();
    let written = Entity::insert_many(sealed).on_conflict(places).exec_without_returning(&*tx);
    let moved = Chains::update_many()
        .col_expr(Chain::Sequence, Expr::value(sequence))
        .col_expr(Chain::Hash, Expr::value(previous_hash))
        .filter(Chain::Sequence.eq(chain.sequence));
    let is_whole = usize::try_from(written.await?).is_ok_and(|written| written == count);
    if !is_whole || moved.exec(&*tx).await?.rows_affected != 1 {
        return Err(DbErr::RecordNotUpdated);
    }
    tx.commit().await?;
    Ok(count == usize::try_from(BATCH).unwrap_or(usize::MAX))
}

fn oldest_waiting(limit: u64) -> Select<Entity> {
    Entity::find().filter(Column::Sequence.is_null()).order_by_asc(Column::Id).limit(limit)
}
