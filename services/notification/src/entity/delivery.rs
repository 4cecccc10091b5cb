//! The table `deliveries`.

use db::{PageRequest, Transaction};
use kernel::{Duration, Time, Uuid};
use sea_orm::{
    Condition, IntoActiveModel as _, QueryOrder as _, QuerySelect as _, QueryTrait as _, Value,
    entity::prelude::*,
    sea_query::{Expr, LockType, SimpleExpr},
};

use crate::domain::delivery::{CLAIM_GRACE, CLAIM_LIFETIME, QUEUE_GRACE, Reason, Subject};

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
    /// Of the mail of this generation, with its angle brackets. Who knows it can write a report that
    /// counts, so not everybody is told it who may read the delivery.
    pub message_id: String,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
    /// Why it is in its state: a [`Reason`].
    pub reason: String,
    /// How often it was begun anew, from 1.
    pub generation: i32,
    /// Of an invitation: which of its issues the mail is of; 0 if that is not known.
    pub issue: i32,
    /// When the event happened that asked for it.
    pub event_at: Option<DateTimeUtc>,
    /// The routing key of that event; empty if it is not known.
    pub cause_key: String,
    pub cause_payload: Option<Vec<u8>>,
    /// Attempts of this generation that were delayed.
    pub delays: i32,
    /// Claims in a row that lapsed without a record.
    pub losses: i32,
    /// Grows with every change of state.
    pub version: i32,
    /// When its message must be gone if nothing has happened by then; none when it is over, and of what
    /// an older version wrote.
    pub overdue_at: Option<DateTimeUtc>,
}

/// How many overdue deliveries are looked after at once.
pub(crate) const BATCH: usize = 50;

/// `queued → sending → sent | queued | failed | bounced | suppressed`, `sent → bounced`, and back to
/// `queued` by a resend.
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

    /// As metrics and refusals say it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Bounced => "bounced",
            Self::Suppressed => "suppressed",
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

    /// How long the claim that holds it still does; `None` if none does.
    pub(crate) fn held_for(&self, now: Time) -> Option<Duration> {
        let until = self.claim_expires_at.filter(|_| self.state == State::Sending)?;
        (until > now).then(|| until - now)
    }

    /// Whether it was given up for want of luck, and not because somebody said no.
    pub(crate) fn is_given_up(&self) -> bool {
        let words = [Reason::Exhausted, Reason::CrashLoop, Reason::Lost, Reason::SetAside]
            .map(Reason::as_str);
        self.state == State::Failed && words.contains(&self.reason.as_str())
    }

    /// Whether it was given up because nobody knows where its message is.
    pub(crate) fn is_lost(&self) -> bool {
        self.state == State::Failed && self.reason == Reason::Lost.as_str()
    }

    /// Changes its state, and says why. A change is later than the one before it, whatever the clocks
    /// of the machines say that made them.
    pub(crate) fn turn(&mut self, state: State, reason: Reason, now: Time) {
        self.state = state;
        reason.as_str().clone_into(&mut self.reason);
        self.version += 1;
        self.updated_at = now.max(self.updated_at);
        self.overdue_at = match state {
            State::Queued => Some(now + QUEUE_GRACE),
            State::Sending => Some(now + CLAIM_LIFETIME + CLAIM_GRACE),
            State::Sent | State::Failed | State::Bounced | State::Suppressed => None,
        };
        if state != State::Sending {
            self.claim_expires_at = None;
        }
    }

    /// Begins anew: nothing of what went wrong counts any more, and the next mail is another one.
    pub(crate) fn begin_anew(&mut self, message_id: String) {
        self.generation += 1;
        self.message_id = message_id;
        (self.delays, self.losses) = (0, 0);
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

/// The same, held until the end of the transaction: nobody changes it meanwhile.
pub(crate) async fn hold(tx: &Transaction, id: Uuid) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).lock(LockType::NoKeyUpdate).one(&**tx).await
}

/// The delivery of an event and recipient, held until the end of the transaction.
pub(crate) async fn hold_by_event(
    tx: &Transaction,
    event_id: Uuid,
    recipient: &str,
) -> Result<Option<Model>, DbErr> {
    Entity::find()
        .filter(Column::EventId.eq(event_id))
        .filter(Column::Recipient.eq(recipient))
        .lock(LockType::NoKeyUpdate)
        .one(&**tx)
        .await
}

/// The deliveries of an event, held until the end of the transaction. An event has a mail or two.
pub(crate) async fn hold_of_event(tx: &Transaction, event_id: Uuid) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::EventId.eq(event_id))
        .order_by_asc(Column::Id)
        .lock(LockType::NoKeyUpdate)
        .all(&**tx)
        .await
}

/// Lets a claim hold until a moment; `false` if it is not the one that holds the delivery. No more is
/// changed of it: that a mail is still on its way is no news to anybody.
pub(crate) async fn extend_claim(
    connection: &impl ConnectionTrait,
    id: Uuid,
    claim_id: Uuid,
    until: Time,
) -> Result<bool, DbErr> {
    let extended = Entity::update_many()
        .col_expr(Column::ClaimExpiresAt, Expr::value(until))
        .filter(Column::Id.eq(id))
        .filter(Column::ClaimId.eq(claim_id))
        .filter(Column::State.eq(State::Sending))
        .exec(connection)
        .await?;
    Ok(extended.rows_affected == 1)
}

/// What is still to be sent for an event, held until the end of the transaction. An event has a mail or
/// two.
pub(crate) async fn hold_waiting(tx: &Transaction, event_id: Uuid) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::EventId.eq(event_id))
        .filter(Column::State.is_in([State::Queued, State::Sending]))
        .order_by_asc(Column::Id)
        .lock(LockType::NoKeyUpdate)
        .all(&**tx)
        .await
}

/// Those that wait and whose message must be gone by now, and those of which that is not known.
pub(crate) async fn overdue(
    connection: &impl ConnectionTrait,
    now: Time,
) -> Result<Vec<Uuid>, DbErr> {
    let ids = overdue_rows(now).select_only().column(Column::Id).limit(BATCH as u64);
    ids.into_tuple().all(connection).await
}

/// The same as a query. The states stand in it as constants, as they do in the index: as parameters
/// they would be no reason for a planner to use it.
pub(crate) fn overdue_rows(now: Time) -> Select<Entity> {
    let constant = |text: &str| SimpleExpr::Constant(Value::from(text));
    let waits =
        sea_orm::ExprTrait::is_in(Expr::col(Column::State), ["queued", "sending"].map(constant));
    let is_overdue =
        Condition::any().add(Column::OverdueAt.is_null()).add(Column::OverdueAt.lte(now));
    Entity::find().filter(waits).filter(is_overdue)
}

/// Writes a delivery that is held.
pub(crate) async fn save(tx: &Transaction, row: Model) -> Result<(), DbErr> {
    let id = row.id;
    let written = Entity::update_many()
        .set(row.into_active_model().reset_all())
        .filter(Column::Id.eq(id))
        .exec(&**tx)
        .await?;
    if written.rows_affected == 1 { Ok(()) } else { Err(DbErr::RecordNotUpdated) }
}

/// Which deliveries are asked for; what is `None` does not matter.
pub(crate) struct Wanted {
    pub organisation_id: Option<Uuid>,
    pub invitation_id: Option<Uuid>,
    pub state: Option<State>,
}

/// A page of them, in the order that it asks for.
pub(crate) async fn list(
    connection: &impl ConnectionTrait,
    Wanted { organisation_id, invitation_id, state }: Wanted,
    page: &PageRequest,
) -> Result<Vec<Model>, DbErr> {
    let rows = Entity::find()
        .apply_if(organisation_id, |rows, id| rows.filter(Column::OrganisationId.eq(id)))
        .apply_if(invitation_id, |rows, id| rows.filter(Column::InvitationId.eq(id)))
        .apply_if(state, |rows, state| rows.filter(Column::State.eq(state)));
    page.apply(rows, None::<Column>, Column::Id).all(connection).await
}
