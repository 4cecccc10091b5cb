use api::{notification::v1::DeliveryState as Told, organisation::v1::InvitationDeliveryState};
use kernel::{Time, Uuid};
use sea_orm::{
    Condition, DatabaseTransaction, ExprTrait as _, entity::prelude::*, sea_query::Expr,
};

use super::{Column, Entity};

/// How a mail about an invitation fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
pub(crate) enum DeliveryState {
    Queued,
    Sent,
    Failed,
    Bounced,
    Suppressed,
}

/// What is heard of a mail.
pub(crate) struct News {
    /// Which issue of the invitation the mail is of; none of one that came to nothing before anybody
    /// could tell.
    pub issue: Option<i32>,
    pub state: DeliveryState,
    pub reason: String,
    pub changed_at: Time,
    /// Which change of its delivery it is: grows where two happened at the same time.
    pub version: i32,
}

/// Compares and sets: takes over what is heard of a mail, if it is of the invitation's current issue and
/// newer than what was heard before. Of whichever issue it is, it is the current one's as long as nothing
/// was heard of that. Otherwise nothing happens. The invitation's etag stays: nobody has
/// changed what is offered.
pub(crate) async fn hear(tx: &DatabaseTransaction, id: Uuid, news: News) -> Result<bool, DbErr> {
    let News { issue, state, reason, changed_at, version } = news;
    let at_once = Column::DeliveryChangedAt.eq(changed_at);
    let is_newer = Condition::any()
        .add(Column::DeliveryChangedAt.is_null())
        .add(Column::DeliveryChangedAt.lt(changed_at))
        .add(at_once.and(Column::DeliveryVersion.lt(version)));
    let of_issue = match issue {
        Some(issue) => Column::Issue.eq(issue),
        None => Column::DeliveryChangedAt.is_null(),
    };
    let heard = Entity::update_many()
        .col_expr(Column::DeliveryState, Expr::value(state))
        .col_expr(Column::DeliveryReason, Expr::value(reason))
        .col_expr(Column::DeliveryChangedAt, Expr::value(changed_at))
        .col_expr(Column::DeliveryVersion, Expr::value(version))
        .filter(Column::Id.eq(id))
        .filter(of_issue)
        .filter(is_newer)
        .exec(tx)
        .await?;
    Ok(heard.rows_affected == 1)
}

impl DeliveryState {
    /// What the notification service tells; `None` for what it tells nobody of.
    pub(crate) fn told(state: Told) -> Option<Self> {
        match state {
            Told::Queued => Some(Self::Queued),
            Told::Sent => Some(Self::Sent),
            Told::Failed => Some(Self::Failed),
            Told::Bounced => Some(Self::Bounced),
            Told::Suppressed => Some(Self::Suppressed),
            Told::Sending | Told::Unspecified => None,
        }
    }

    /// As callers see it.
    pub(crate) fn shown(state: Option<Self>) -> InvitationDeliveryState {
        match state {
            None => InvitationDeliveryState::Unspecified,
            Some(Self::Queued) => InvitationDeliveryState::Queued,
            Some(Self::Sent) => InvitationDeliveryState::Sent,
            Some(Self::Failed) => InvitationDeliveryState::Failed,
            Some(Self::Bounced) => InvitationDeliveryState::Bounced,
            Some(Self::Suppressed) => InvitationDeliveryState::Suppressed,
        }
    }
}
