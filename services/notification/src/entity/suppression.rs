//! The table `suppressions`.

use api::notification::v1::{Suppression, SuppressionReason};
use db::{PageRequest, Transaction};
use kernel::{EmailAddress, Time, Uuid};
use sea_orm::{ActiveValue::Set, QueryTrait as _, entity::prelude::*, sea_query::OnConflict};

use crate::domain::{delivery::Reason as Word, template::Template};

/// An address that no mail goes to, or no reminder.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "suppressions")]
pub(crate) struct Model {
    /// Normalised.
    #[sea_orm(primary_key, auto_increment = false)]
    pub email: String,
    /// UUIDv7: the order of their making, for pages.
    pub id: Uuid,
    pub reason: Reason,
    pub note: String,
    /// The delivery that led to it.
    pub delivery_id: Option<Uuid>,
    pub created_at: DateTimeUtc,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
pub(crate) enum Reason {
    Bounced,
    Complained,
    Manual,
    /// From reminders; every other mail goes there.
    Unsubscribed,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The suppression of a normalised address.
pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    email: &str,
) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(email.to_owned()).one(connection).await
}

/// Why no mail of a template goes to a normalised address; `None` if it does.
pub(crate) async fn against(
    connection: &impl ConnectionTrait,
    email: &str,
    template: &str,
) -> Result<Option<Reason>, DbErr> {
    let reason = find(connection, email).await?.map(|row| row.reason);
    Ok(reason.filter(|&it| it != Reason::Unsubscribed || Template::is_reminder(template)))
}

/// A page of all, or of those of one address.
pub(crate) async fn list(
    connection: &impl ConnectionTrait,
    email: Option<EmailAddress>,
    page: &PageRequest,
) -> Result<Vec<Model>, DbErr> {
    let all =
        Entity::find().apply_if(email, |rows, email| rows.filter(Column::Email.eq(email.as_str())));
    page.apply(all, None::<Column>, Column::Id).all(connection).await
}

/// Puts an address on the list, unless it is there: the first reason stays. One that has only
/// unsubscribed is there no stronger than that: every other reason takes its place, and it takes that
/// of none. One statement decides, so that no order of two calls can weaken a reason.
pub(crate) async fn insert_unless_there(tx: &Transaction, row: Model) -> Result<(), DbErr> {
    let is_stronger = row.reason != Reason::Unsubscribed;
    let row = ActiveModel {
        email: Set(row.email),
        id: Set(row.id),
        reason: Set(row.reason),
        note: Set(row.note),
        delivery_id: Set(row.delivery_id),
        created_at: Set(row.created_at),
    };
    let mut key = OnConflict::column(Column::Email);
    if is_stronger {
        let all = [Column::Id, Column::Reason, Column::Note, Column::DeliveryId, Column::CreatedAt];
        key.update_columns(all).action_and_where(Column::Reason.eq(Reason::Unsubscribed));
    } else {
        key.do_nothing();
    }
    Entity::insert(row).on_conflict(key).exec_without_returning(&**tx).await.map(|_| ())
}

/// Puts the address of a delivery on the list.
pub(crate) async fn of_delivery(
    tx: &Transaction,
    delivery: &super::delivery::Model,
    id: Uuid,
    reason: Reason,
    now: Time,
) -> Result<(), DbErr> {
    let row = Model {
        email: delivery.recipient.clone(),
        id,
        reason,
        note: String::new(),
        delivery_id: Some(delivery.id),
        created_at: now,
    };
    insert_unless_there(tx, row).await
}

/// Takes an address off the list; `false` if it was not there.
pub(crate) async fn delete(
    connection: &impl ConnectionTrait,
    email: &EmailAddress,
) -> Result<bool, DbErr> {
    let deleted = Entity::delete_by_id(email.to_string()).exec(connection).await?;
    Ok(deleted.rows_affected == 1)
}

impl Reason {
    /// Why a delivery to the address is suppressed.
    pub(crate) fn word(self) -> Word {
        match self {
            Self::Bounced => Word::Bounced,
            Self::Complained => Word::Complained,
            Self::Manual => Word::Manual,
            Self::Unsubscribed => Word::Unsubscribed,
        }
    }
}

impl From<Model> for Suppression {
    fn from(row: Model) -> Self {
        let reason = match row.reason {
            Reason::Bounced => SuppressionReason::Bounced,
            Reason::Complained => SuppressionReason::Complained,
            Reason::Manual => SuppressionReason::Manual,
            Reason::Unsubscribed => SuppressionReason::Unsubscribed,
        };
        Self {
            email: row.email,
            reason: reason.into(),
            note: row.note,
            delivery_id: row.delivery_id.map(|id| id.to_string()).unwrap_or_default(),
            created_at: Some(api::timestamp(row.created_at)),
        }
    }
}
