//! The table `deliveries`.

use kernel::{Time, Uuid};
use sea_orm::{
    ActiveValue::Set, ExprTrait as _, QueryOrder as _, QuerySelect as _, entity::prelude::*,
};

use crate::domain::delivery::{Outcome, Subject};

/// One mail to one recipient for one event.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "deliveries")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// With `recipient` unique: one event sends one mail to one person.
    pub event_id: Uuid,
    /// Normalised.
    pub recipient: String,
    pub organisation_id: Uuid,
    /// The nil UUID when it is about an access request: the column could not be empty when there
    /// were invitations alone, and SQLite cannot relax that without writing the table anew.
    pub invitation_id: Uuid,
    /// Set when it is about an access request.
    pub access_request_id: Option<Uuid>,
    pub template: String,
    pub locale: String,
    pub state: State,
    /// How often it was claimed.
    pub attempts: i32,
    /// Empty if the last attempt did not fail.
    pub last_error: String,
    /// The last claim; it is kept when the attempt is recorded, so that recording it twice is once.
    pub claim_id: Option<Uuid>,
    /// Set while a claim holds.
    pub claim_expires_at: Option<DateTimeUtc>,
    pub message_id: String,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// `queued → sending → sent | queued | failed`; nothing leads out of the last four.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
pub(crate) enum State {
    Queued,
    Sending,
    Sent,
    Failed,
    Bounced,
    Suppressed,
}

impl State {
    /// Whether nothing is to be sent any more.
    pub(crate) fn is_final(self) -> bool {
        match self {
            Self::Queued | Self::Sending => false,
            Self::Sent | Self::Failed | Self::Bounced | Self::Suppressed => true,
        }
    }

    /// The state that an attempt's outcome leads to.
    pub(crate) fn after(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Sent => Self::Sent,
            Outcome::Delayed => Self::Queued,
            Outcome::Failed => Self::Failed,
        }
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// What it is about.
    pub(crate) fn subject(&self) -> Subject {
        match self.access_request_id {
            Some(id) => Subject::AccessRequest(id),
            None => Subject::Invitation(self.invitation_id),
        }
    }
}

/// The delivery of an id, of whichever organisation: the caller answers it only after asking for
/// the right at `organisation_id`.
pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    id: Uuid,
) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).one(connection).await
}

/// The delivery of an event and recipient.
pub(crate) async fn find_by_event(
    connection: &impl ConnectionTrait,
    event_id: Uuid,
    recipient: &str,
) -> Result<Option<Model>, DbErr> {
    Entity::find()
        .filter(Column::EventId.eq(event_id))
        .filter(Column::Recipient.eq(recipient))
        .one(connection)
        .await
}

/// The deliveries of an organisation, and of one invitation if it is named, after a key.
pub(crate) async fn list(
    connection: &impl ConnectionTrait,
    organisation_id: Uuid,
    invitation_id: Option<Uuid>,
    after: Option<Uuid>,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    let mut query = Entity::find().filter(Column::OrganisationId.eq(organisation_id));
    if let Some(invitation_id) = invitation_id {
        query = query.filter(Column::InvitationId.eq(invitation_id));
    }
    if let Some(after) = after {
        query = query.filter(Column::Id.gt(after));
    }
    query.order_by_asc(Column::Id).limit(limit).all(connection).await
}

/// A claim on a delivery.
pub(crate) struct Claim<'a> {
    pub id: Uuid,
    pub now: Time,
    pub expires_at: Time,
    /// What this attempt is going to send: the person may have enrolled since the last one.
    pub template: &'a str,
    pub locale: &'a str,
}

/// Compares and sets: claims the delivery if it waits, or if an earlier claim has lapsed. `false`
/// if it does not change hands.
pub(crate) async fn claim(
    connection: &impl ConnectionTrait,
    event_id: Uuid,
    recipient: &str,
    claim: Claim<'_>,
) -> Result<bool, DbErr> {
    let lapsed = Column::State.eq(State::Sending).and(Column::ClaimExpiresAt.lte(claim.now));
    let update = Entity::update_many()
        .set(ActiveModel {
            state: Set(State::Sending),
            claim_id: Set(Some(claim.id)),
            claim_expires_at: Set(Some(claim.expires_at)),
            template: Set(claim.template.to_owned()),
            locale: Set(claim.locale.to_owned()),
            updated_at: Set(claim.now),
            ..Default::default()
        })
        .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1))
        .filter(Column::EventId.eq(event_id))
        .filter(Column::Recipient.eq(recipient))
        .filter(Column::State.eq(State::Queued).or(lapsed));
    Ok(update.exec(connection).await?.rows_affected == 1)
}

/// Compares and sets: ends a claimed attempt if `claim_id` still holds the delivery. `false` if
/// not. A claim that has lapsed but was not taken over still counts: the mail was sent.
pub(crate) async fn record(
    connection: &impl ConnectionTrait,
    id: Uuid,
    claim_id: Uuid,
    outcome: Outcome,
    error: String,
    now: Time,
) -> Result<bool, DbErr> {
    let update = Entity::update_many()
        .set(ActiveModel {
            state: Set(State::after(outcome)),
            last_error: Set(error),
            claim_expires_at: Set(None),
            updated_at: Set(now),
            ..Default::default()
        })
        .filter(Column::Id.eq(id))
        .filter(Column::ClaimId.eq(claim_id))
        .filter(Column::State.eq(State::Sending));
    Ok(update.exec(connection).await?.rows_affected == 1)
}
