use api::organisation::v1::AccessRequestMail;
use db::DbErr;
use kernel::Time;
use sea_orm::{
    QueryOrder as _, QuerySelect as _, UpdateMany,
    entity::prelude::*,
    sea_query::{Expr, LockBehavior, LockType},
};
use service::Timer;

use crate::{
    Organisations,
    change::Change,
    domain::access_request::Step,
    entity::access_request::{
        Column, Decision, Entity, Model, State, announce, conclude, deciders, mail,
    },
};

/// How many requests one transaction is about. Each may have a hundred mails.
const BATCH: usize = 10;

/// Does what is due about pending requests: reminds those who can decide a day before a request is
/// overdue, marks it overdue, and lets it expire. Who can decide is looked up each time, and so
/// whether nobody near can.
///
/// Events: `organisation.access_request.overdue.v1` and `….expired.v1`; mails with the reminder and
/// the expiry.
pub(crate) fn timer(service: Organisations) -> Timer {
    Timer::new("organisation.access-requests", move || {
        let service = service.clone();
        Box::pin(async move { keep_time(&service).await })
    })
}

/// One batch; answers whether there may be more. Several instances may do so at once: each takes the
/// requests that no other has.
pub(crate) async fn keep_time(service: &Organisations) -> Result<bool, DbErr> {
    let due = |now: Time| {
        Entity::find()
            .filter(Column::NextChangeAt.lte(now))
            .order_by_asc(Column::NextChangeAt)
            .limit(BATCH as u64)
    };
    // Most runs find nothing: do not take SQLite's write lock for them.
    if due(service.clock.now()).one(service.database.read()).await?.is_none() {
        return Ok(false);
    }
    let change = service.begin_itself("access_requests.keep_time").await?;
    let claimed = due(change.now)
        .lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked)
        .all(&*change)
        .await?;
    for request in &claimed {
        let Some(planned) = request.next_change_at else { continue };
        let (step, next) = request.times().step(planned, change.now);
        match step {
            Step::Remind => remind(&change, request, next).await?,
            Step::Overdue => mark_overdue(&change, request, next).await?,
            Step::Expire => expire(&change, request).await?,
        }
    }
    change.commit_itself().await?;
    Ok(claimed.len() == BATCH)
}

async fn remind(change: &Change<'_>, request: &Model, next: Option<Time>) -> Result<(), DbErr> {
    let deciders = deciders(&**change, request, change.now).await?;
    let reminded =
        plan(request, next).col_expr(Column::NoApprovers, Expr::value(deciders.none_near));
    if reminded.exec(&**change).await?.rows_affected == 1 {
        mail(change, request, &deciders.people, AccessRequestMail::Reminded).await?;
    }
    Ok(())
}

async fn mark_overdue(
    change: &Change<'_>,
    request: &Model,
    next: Option<Time>,
) -> Result<(), DbErr> {
    let deciders = deciders(&**change, request, change.now).await?;
    let marked = plan(request, next)
        .col_expr(Column::Overdue, Expr::value(true))
        .col_expr(Column::NoApprovers, Expr::value(deciders.none_near));
    if marked.exec(&**change).await?.rows_affected == 1 {
        announce(change, "organisation.access_request.overdue.v1", request).await?;
        change.record(request.record().detail("overdue")).await?;
    }
    Ok(())
}

async fn expire(change: &Change<'_>, request: &Model) -> Result<(), DbErr> {
    conclude(change, request, State::Expired, Decision::default()).await.map(|_| ())
}

/// Plans what comes next, if nobody else has.
fn plan(request: &Model, next: Option<Time>) -> UpdateMany<Entity> {
    Entity::update_many()
        .col_expr(Column::NextChangeAt, Expr::value(next))
        .filter(Column::Id.eq(request.id))
        .filter(Column::State.eq(State::Pending))
        .filter(Column::NextChangeAt.eq(request.next_change_at))
}
