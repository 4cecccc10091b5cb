//! The table `delivery_attempts`.

use api::notification::v1::{AttemptOutcome, DeliveryAttempt};
use db::Transaction;
use kernel::{Time, Uuid};
use sea_orm::{
    ActiveValue::Set, QueryOrder as _, QuerySelect as _, entity::prelude::*, sea_query::OnConflict,
};

use super::delivery;
use crate::domain::delivery::{Outcome as Recorded, Reason, Reply};

/// One try at one mail.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "delivery_attempts")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub delivery_id: Uuid,
    /// Counts the attempts of a delivery, from 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub number: i32,
    pub generation: i32,
    pub begun_at: DateTimeUtc,
    pub ended_at: Option<DateTimeUtc>,
    /// None while it goes on.
    pub outcome: Option<Outcome>,
    pub reason: String,
    /// 0 if the mail server did not answer.
    pub reply_code: i32,
    /// Empty if it named none.
    pub enhanced_status: String,
    pub words: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
pub(crate) enum Outcome {
    Sent,
    Delayed,
    Failed,
    Lost,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// How many attempts are told of a delivery. All there can be are far more only after many resends.
const TOLD: u64 = 100;

/// Notes that the last counted attempt of a delivery begins.
pub(crate) async fn begin(
    tx: &Transaction,
    delivery: &delivery::Model,
    now: Time,
) -> Result<(), DbErr> {
    let row = ActiveModel {
        delivery_id: Set(delivery.id),
        number: Set(delivery.attempts),
        generation: Set(delivery.generation),
        begun_at: Set(now),
        ended_at: Set(None),
        outcome: Set(None),
        reason: Set(String::new()),
        reply_code: Set(0),
        enhanced_status: Set(String::new()),
        words: Set(String::new()),
    };
    // Nobody has begun it: the delivery is held.
    let key = OnConflict::columns([Column::DeliveryId, Column::Number]).do_nothing().to_owned();
    Entity::insert(row).on_conflict(key).exec_without_returning(&**tx).await.map(|_| ())
}

/// What became of the last counted attempt of a delivery; `None` while it goes on, and of one that a
/// version began that kept none.
pub(crate) async fn outcome_of_last(
    tx: &Transaction,
    delivery: &delivery::Model,
) -> Result<Option<Outcome>, DbErr> {
    let row = Entity::find_by_id((delivery.id, delivery.attempts)).one(&**tx).await?;
    Ok(row.and_then(|row| row.outcome))
}

/// Notes what became of the last counted attempt of a delivery, if that is not known yet.
pub(crate) async fn end(
    tx: &Transaction,
    delivery: &delivery::Model,
    outcome: Outcome,
    (reason, reply): (Reason, &Reply),
    now: Time,
) -> Result<(), DbErr> {
    let status = reply.status.map(|status| status.to_string()).unwrap_or_default();
    let ended = ActiveModel {
        ended_at: Set(Some(now)),
        outcome: Set(Some(outcome)),
        reason: Set(reason.as_str().to_owned()),
        reply_code: Set(reply.code),
        enhanced_status: Set(status),
        words: Set(reply.words.clone()),
        ..Default::default()
    };
    Entity::update_many()
        .set(ended)
        .filter(Column::DeliveryId.eq(delivery.id))
        .filter(Column::Number.eq(delivery.attempts))
        .filter(Column::Outcome.is_null())
        .exec(&**tx)
        .await
        .map(|_| ())
}

/// Notes that nobody will ever say what became of the last counted attempt.
pub(crate) async fn lose(
    tx: &Transaction,
    delivery: &delivery::Model,
    now: Time,
) -> Result<(), DbErr> {
    end(tx, delivery, Outcome::Lost, (Reason::Nothing, &Reply::default()), now).await
}

/// The last attempts of a delivery, oldest first.
pub(crate) async fn last_of(
    connection: &impl ConnectionTrait,
    delivery: Uuid,
) -> Result<Vec<Model>, DbErr> {
    let mut rows = Entity::find()
        .filter(Column::DeliveryId.eq(delivery))
        .order_by_desc(Column::Number)
        .limit(TOLD)
        .all(connection)
        .await?;
    rows.reverse();
    Ok(rows)
}

impl From<Recorded> for Outcome {
    fn from(outcome: Recorded) -> Self {
        match outcome {
            Recorded::Sent => Self::Sent,
            Recorded::Delayed => Self::Delayed,
            Recorded::Failed => Self::Failed,
        }
    }
}

impl From<Model> for DeliveryAttempt {
    fn from(row: Model) -> Self {
        let outcome = row.outcome.map_or(AttemptOutcome::Unspecified, |outcome| match outcome {
            Outcome::Sent => AttemptOutcome::Sent,
            Outcome::Delayed => AttemptOutcome::Delayed,
            Outcome::Failed => AttemptOutcome::Failed,
            Outcome::Lost => AttemptOutcome::Lost,
        });
        Self {
            number: row.number,
            generation: row.generation,
            begun_at: Some(api::timestamp(row.begun_at)),
            ended_at: row.ended_at.map(api::timestamp),
            outcome: outcome.into(),
            reason: row.reason,
            reply_code: row.reply_code,
            enhanced_status: row.enhanced_status,
            words: row.words,
        }
    }
}
