mod around;
mod delivery;
mod found;
mod making;

use api::organisation::v1 as proto;
use kernel::{Time, Uuid, fold};
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, ExprTrait as _, QueryOrder as _, QuerySelect as _,
    entity::prelude::*,
    sea_query::{Expr, LockBehavior, LockType},
};

use super::{
    application_access,
    membership::{self, Span},
    organisation::etag,
    role,
};
use crate::{
    call::Call,
    change::{Change, Record},
    domain::{
        invitation::{Locale, State as DomainState},
        permission::Permission,
        rights::{Giver as DomainGiver, Rights},
    },
    settlement::settled,
};

pub(crate) use around::Around;
pub(crate) use delivery::{DeliveryState, News, hear};
pub(crate) use found::{in_delivery_state, in_state, is_in_state, of_source};
pub(crate) use making::{insert, is_known_elsewhere, pending, pending_at, take_back};

/// An offer of roles in an organisation to an address.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "invitations")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub organisation_id: Uuid,
    /// Normalised.
    pub email: String,
    pub display_name: String,
    pub first_name: String,
    pub last_name: String,
    pub institution: String,
    /// Role keys with spaces between.
    pub roles: String,
    pub application_id: Option<Uuid>,
    pub personal_message: String,
    pub membership_valid_from: Option<DateTimeUtc>,
    pub membership_expires_at: Option<DateTimeUtc>,
    pub source_id: String,
    /// Where the outcome is told; empty for nowhere.
    pub callback_url: String,
    pub state: State,
    /// The access request that an acceptance waits for.
    pub access_request_id: Option<Uuid>,
    pub locale: String,
    pub inviter_id: Uuid,
    pub inviter_kind: Giver,
    pub invitee_id: Uuid,
    /// Counts the links, from 1: an earlier link than this is dead.
    pub issue: i32,
    pub expires_at: DateTimeUtc,
    /// When the invitee is to be reminded; nothing once they were.
    pub remind_at: Option<DateTimeUtc>,
    /// The display name (or the address) folded, as UTF-8: what is ordered by.
    pub search_name: Vec<u8>,
    pub version: i32,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
    pub deleted_at: Option<DateTimeUtc>,
    /// How the newest mail of this issue fares; none from before this was kept.
    pub delivery_state: Option<DeliveryState>,
    pub delivery_reason: String,
    /// When that came to be so, and which change of its delivery it was; none before the first.
    pub delivery_changed_at: Option<DateTimeUtc>,
    pub delivery_version: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
pub(crate) enum State {
    Pending,
    Accepted,
    Declined,
    Revoked,
    Expired,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
pub(crate) enum Giver {
    Person,
    ServiceAccount,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {
    #[sea_orm(
        belongs_to = "super::organisation::Entity",
        from = "Column::OrganisationId",
        to = "super::organisation::Column::Id"
    )]
    Organisation,
}

impl Related<super::organisation::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Organisation.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// Where it stands at a moment.
    pub(crate) fn state_at(&self, now: Time) -> DomainState {
        DomainState::from(self.state).at(now, self.expires_at)
    }

    /// The time of the membership that it offers.
    pub(crate) fn span(&self) -> Span {
        Span { valid_from: self.membership_valid_from, expires_at: self.membership_expires_at }
    }

    /// As callers see it at a moment.
    pub(crate) fn seen_at(self, now: Time) -> proto::Invitation {
        let state = match self.state_at(now) {
            DomainState::Pending => proto::InvitationState::Pending,
            DomainState::Accepted => proto::InvitationState::Accepted,
            DomainState::Declined => proto::InvitationState::Declined,
            DomainState::Revoked => proto::InvitationState::Revoked,
            DomainState::Expired => proto::InvitationState::Expired,
        };
        let id = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
        proto::Invitation {
            id: self.id.to_string(),
            organisation_id: self.organisation_id.to_string(),
            email: self.email,
            display_name: self.display_name,
            roles: self.roles.split_whitespace().map(str::to_owned).collect(),
            state: state.into(),
            locale: match self.locale.as_str() {
                "" => Locale::DEFAULT.to_owned(),
                _ => self.locale,
            },
            inviter_id: self.inviter_id.to_string(),
            invitee_id: self.invitee_id.to_string(),
            expires_at: Some(api::timestamp(self.expires_at)),
            created_at: Some(api::timestamp(self.created_at)),
            updated_at: Some(api::timestamp(self.updated_at)),
            deleted_at: self.deleted_at.map(api::timestamp),
            first_name: self.first_name,
            last_name: self.last_name,
            institution: self.institution,
            application_id: id(self.application_id),
            personal_message: self.personal_message,
            membership_valid_from: self.membership_valid_from.map(api::timestamp),
            membership_expires_at: self.membership_expires_at.map(api::timestamp),
            source_id: self.source_id,
            callback_url: self.callback_url,
            access_request_id: id(self.access_request_id),
            etag: etag(self.version),
            issue: self.issue,
            delivery_state: DeliveryState::shown(self.delivery_state).into(),
            delivery_reason: self.delivery_reason,
        }
    }
}

/// An invitation as a caller with `invitations.read` at its organisation finds it, with their
/// rights there. A refusal is written into the history of that organisation.
pub(crate) async fn seen_by(
    connection: &impl ConnectionTrait,
    id: Uuid,
    call: &Call,
    now: Time,
) -> Result<Option<(Model, Rights)>, DbErr> {
    let Some(found) = Entity::find_by_id(id).one(connection).await? else { return Ok(None) };
    call.note(found.organisation_id);
    let rights = membership::rights(connection, call.subject, found.organisation_id, now).await?;
    Ok(rights.allow(Permission::InvitationsRead).then_some((found, rights)))
}

/// The same, held until the end of the transaction: nobody changes it meanwhile.
pub(crate) async fn held_by(
    tx: &DatabaseTransaction,
    id: Uuid,
    call: &Call,
    now: Time,
) -> Result<Option<(Model, Rights)>, DbErr> {
    Entity::find_by_id(id).lock(LockType::NoKeyUpdate).one(tx).await?;
    seen_by(tx, id, call, now).await
}

/// What an invitation is ordered by: the name of the invitee, or the address.
pub(crate) fn search_name(display_name: &str, email: &str) -> Vec<u8> {
    fold(if display_name.is_empty() { email } else { display_name }).into_bytes()
}

/// The language in which somebody reads: that of the newest invitation that they accepted and that
/// named one. Invitations from before it was kept that none was named have `en`.
pub(crate) async fn language_of(
    connection: &impl ConnectionTrait,
    invitee: Uuid,
) -> Result<Option<String>, DbErr> {
    let accepted = Entity::find()
        .select_only()
        .column(Column::Locale)
        .filter(Column::InviteeId.eq(invitee))
        .filter(Column::State.eq(State::Accepted))
        .filter(Column::Locale.ne(""))
        .order_by_desc(Column::Id);
    accepted.into_tuple().one(connection).await
}

/// How many invitations a timer deals with in one transaction.
pub(crate) const BATCH: usize = 200;

/// The pending invitations for which the moment in a column has come.
pub(crate) fn due(moment: Column, now: Time) -> Select<Entity> {
    Entity::find().filter(Column::State.eq(State::Pending)).filter(moment.lte(now))
}

/// A batch of them, the most overdue first, held until the end of the transaction. What somebody else
/// works on at this moment is left to them.
pub(crate) async fn claim(
    tx: &DatabaseTransaction,
    moment: Column,
    now: Time,
) -> Result<Vec<Model>, DbErr> {
    due(moment, now)
        .order_by_asc(moment)
        .limit(BATCH as u64)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .all(tx)
        .await
}

impl State {
    /// As events and callbacks say it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Declined => "declined",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }
}

/// Holds what an organisation offers a subject until the end of the transaction. Whoever gives roles
/// and settles offers by that takes them first, before the membership, as an acceptance does.
pub(crate) async fn hold_offered(
    tx: &DatabaseTransaction,
    subject: Uuid,
    organisation: Uuid,
) -> Result<(), DbErr> {
    Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::InviteeId.eq(subject))
        .filter(Column::OrganisationId.eq(organisation))
        .filter(Column::State.eq(State::Pending))
        .order_by_asc(Column::Id)
        .lock(LockType::NoKeyUpdate)
        .into_tuple::<Uuid>()
        .all(tx)
        .await?;
    Ok(())
}

/// Settles what an organisation still offers a subject who has it by now: a pending invitation that
/// offers no role and no application beyond what the subject holds is accepted. Event:
/// `organisation.invitation.settled.v1`.
pub(crate) async fn settle_offered(
    change: &Change<'_>,
    subject: Uuid,
    organisation: Uuid,
) -> Result<(), DbErr> {
    let pending = Entity::find()
        .filter(Column::InviteeId.eq(subject))
        .filter(Column::OrganisationId.eq(organisation))
        .filter(Column::State.eq(State::Pending))
        .filter(Column::ExpiresAt.gt(change.now))
        .all(&**change)
        .await?;
    for offered in pending {
        if offers_more(change, &offered).await? || !accept(change, offered.id).await? {
            continue;
        }
        settled(change, &offered, State::Accepted).await?;
        let record = Record::of("invitation", offered.id, organisation).invitation(offered.id);
        change.record(record.detail("state=accepted")).await?;
    }
    Ok(())
}

/// Whether the invitee lacks something of what is offered.
async fn offers_more(change: &Change<'_>, offered: &Model) -> Result<bool, DbErr> {
    let (subject, organisation) = (offered.invitee_id, offered.organisation_id);
    let among = role::given_at(organisation);
    let Some(roles) = role::find_again(&**change, among, &offered.roles).await? else {
        return Ok(true);
    };
    let held = membership::roles(&**change, subject, organisation).await?;
    if roles.iter().any(|role| !held.contains(role.id)) {
        return Ok(true);
    }
    let Some(application) = offered.application_id else { return Ok(false) };
    Ok(!application_access::exists(&**change, subject, organisation, application).await?)
}

/// `false` if somebody was faster.
async fn accept(change: &Change<'_>, id: Uuid) -> Result<bool, DbErr> {
    let accepted = Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Accepted))
        .col_expr(Column::UpdatedAt, Expr::value(change.now))
        .col_expr(Column::Version, Expr::col(Column::Version).add(1))
        .filter(Column::Id.eq(id))
        .filter(Column::State.eq(State::Pending))
        .exec(&**change)
        .await?;
    Ok(accepted.rows_affected == 1)
}

impl From<State> for DomainState {
    fn from(state: State) -> Self {
        match state {
            State::Pending => Self::Pending,
            State::Accepted => Self::Accepted,
            State::Declined => Self::Declined,
            State::Revoked => Self::Revoked,
            State::Expired => Self::Expired,
        }
    }
}

impl From<Giver> for DomainGiver {
    fn from(giver: Giver) -> Self {
        match giver {
            Giver::Person => Self::Person,
            Giver::ServiceAccount => Self::ServiceAccount,
        }
    }
}

impl From<DomainGiver> for Giver {
    fn from(giver: DomainGiver) -> Self {
        match giver {
            DomainGiver::Person => Self::Person,
            DomainGiver::ServiceAccount => Self::ServiceAccount,
        }
    }
}
