use kernel::Time;
use sea_orm::{
    QueryOrder as _, QuerySelect as _, Select,
    entity::prelude::*,
    sea_query::{Expr, LockBehavior, LockType},
};
use service::Timer;

use crate::{
    Organisations,
    change::{Change, Record},
    entity::membership::{self, Column, Model, State, changing},
};

/// How many memberships one transaction is about.
const BATCH: u64 = 50;

/// Announces that memberships begin, and removes those that are over. Rights do not wait for it:
/// they ask the clock.
pub(crate) fn timer(service: Organisations) -> Timer {
    Timer::new("organisation.memberships", move || {
        let service = service.clone();
        Box::pin(async move { keep_time(&service).await })
    })
}

/// Does a batch of what is due; answers whether there may be more.
///
/// Several instances may do so at once: on PostgreSQL they skip one another's rows, and SQLite has
/// one writer. Whoever changes a membership has its row too, so that an end which was put off just
/// now is none. Events: `organisation.membership.begun.v1`, `….ended.v1`.
pub(crate) async fn keep_time(service: &Organisations) -> Result<bool, DbErr> {
    // The writer's place is not taken for nothing.
    let now = service.clock.now();
    if due(now).limit(1).one(service.database.read()).await?.is_none() {
        return Ok(false);
    }
    let change = service.begin_itself("members.end").await?;
    let rows = due(change.now)
        .limit(BATCH)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .all(&*change)
        .await?;
    for row in &rows {
        begin(&change, row).await?;
        if row.expires_at.is_some_and(|until| until <= change.now) {
            end(&change, row).await?;
        }
    }
    change.commit_itself().await?;
    Ok(rows.len() as u64 == BATCH)
}

/// By the index `memberships_due`.
fn due(now: Time) -> Select<membership::Entity> {
    membership::Entity::find()
        .filter(Column::NextChangeAt.lte(now))
        .order_by_asc(Column::NextChangeAt)
}

/// Announces the beginning that was waited for, if it gives rights, and waits for the end.
async fn begin(change: &Change<'_>, row: &Model) -> Result<(), DbErr> {
    if row.next_change_at != row.valid_from {
        return Ok(());
    }
    if row.state == State::Active {
        let key = "organisation.membership.begun.v1";
        changing::announce(change, key, row.subject_id, row.organisation_id).await?;
    }
    changing::update(row)
        .col_expr(Column::NextChangeAt, Expr::value(row.expires_at))
        .exec(&**change)
        .await
        .map(|_| ())
}

/// Like a removal. Nobody owns a root for good with a membership that ends.
async fn end(change: &Change<'_>, row: &Model) -> Result<(), DbErr> {
    changing::end(change, row).await?;
    let key = "organisation.membership.ended.v1";
    changing::announce(change, key, row.subject_id, row.organisation_id).await?;
    change.record(Record::of("membership", row.subject_id, row.organisation_id)).await
}
