use kernel::{Time, Uuid};
use sea_orm::{
    ActiveValue::Set,
    ConnectionTrait, ExprTrait as _, QueryOrder as _, QuerySelect as _,
    entity::prelude::*,
    sea_query::{Expr, OnConflict},
};

/// A message that a consumer of whichever service gave up.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "dead_letters")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// None of what is no message of ours.
    pub event_id: Option<Uuid>,
    pub queue: String,
    pub ground: String,
    pub error: String,
    pub routing_key: String,
    pub source: String,
    pub subject: Option<Uuid>,
    pub time: Option<DateTimeUtc>,
    pub payload: Vec<u8>,
    pub traceparent: Option<String>,
    pub attempts: i32,
    pub state: State,
    pub decided_by: Option<Uuid>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// `waiting → replayed | discarded`; `replayed → waiting` when it is given up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
pub(crate) enum State {
    Waiting,
    Replayed,
    Discarded,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Keeps a dead letter. One that is there already, and was replayed, waits again; told of twice, it is
/// kept once, and what was discarded stays so: `false`.
pub(crate) async fn keep(connection: &impl ConnectionTrait, row: Model) -> Result<bool, DbErr> {
    let again = OnConflict::columns([Column::EventId, Column::Queue])
        .update_columns([
            Column::Ground,
            Column::Error,
            Column::Attempts,
            Column::State,
            Column::DecidedBy,
            Column::UpdatedAt,
        ])
        .action_and_where(Expr::col((Entity, Column::State)).ne(State::Discarded))
        .to_owned();
    let row = ActiveModel::from(row).reset_all();
    let written = Entity::insert(row).on_conflict(again).exec_without_returning(connection).await?;
    Ok(written == 1)
}

pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    id: Uuid,
) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).one(connection).await
}

/// Those in a state, of one queue if it is named, after a key.
pub(crate) async fn list(
    connection: &impl ConnectionTrait,
    state: State,
    queue: &str,
    after: Option<Uuid>,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    let mut query = Entity::find().filter(Column::State.eq(state));
    if !queue.is_empty() {
        query = query.filter(Column::Queue.eq(queue));
    }
    if let Some(after) = after {
        query = query.filter(Column::Id.gt(after));
    }
    query.order_by_asc(Column::Id).limit(limit).all(connection).await
}

/// Compares and sets: decides about one that waits. `false` if it does not wait.
pub(crate) async fn decide(
    connection: &impl ConnectionTrait,
    id: Uuid,
    state: State,
    by: Uuid,
    now: Time,
) -> Result<bool, DbErr> {
    let update = Entity::update_many()
        .set(ActiveModel {
            state: Set(state),
            decided_by: Set(Some(by)),
            updated_at: Set(now),
            ..Default::default()
        })
        .filter(Column::Id.eq(id))
        .filter(Column::State.eq(State::Waiting));
    Ok(update.exec(connection).await?.rows_affected == 1)
}

/// Forgets what was decided before `until`.
pub(crate) async fn prune(connection: &impl ConnectionTrait, until: Time) -> Result<(), DbErr> {
    let decided = Entity::delete_many()
        .filter(Column::State.ne(State::Waiting))
        .filter(Column::UpdatedAt.lt(until));
    decided.exec(connection).await.map(|_| ())
}
