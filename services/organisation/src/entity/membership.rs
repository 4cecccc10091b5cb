use api::organisation::v1 as proto;
use kernel::{Fields, Malformed, Time, Uuid, fold};
use prost_types::Timestamp;
use sea_orm::{
    ActiveValue::Set,
    Condition, ConnectionTrait, DatabaseTransaction, ExprTrait as _, QuerySelect as _,
    entity::prelude::*,
    sea_query::{Expr, LockType, OnConflict},
};

use super::{membership_role, organisation::PLATFORM, person, role};
use crate::domain::role::{BuiltIn, Roles};

pub(crate) mod changing;
mod held;
mod many;
mod shown;

pub(crate) use held::{holding, rights, rights_held, with_membership};
pub(crate) use many::{lasting_roles, rights_of_all};
pub(crate) use shown::{shown, shown_all};

/// A user or service account in an organisation.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "memberships")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub subject_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub organisation_id: Uuid,
    /// UUIDv7: the order of joining.
    pub id: Uuid,
    pub state: State,
    pub is_service_account: bool,
    pub valid_from: Option<DateTimeUtc>,
    pub expires_at: Option<DateTimeUtc>,
    /// When its beginning or end is to be announced.
    pub next_change_at: Option<DateTimeUtc>,
    /// The person's name folded, as UTF-8: what is ordered by.
    pub search_name: Vec<u8>,
    pub version: i32,
    pub created_at: DateTimeUtc,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
pub(crate) enum State {
    Active,
    Suspended,
}

impl State {
    /// What it is to callers at a moment, with the time of the membership.
    pub(crate) fn at(self, now: Time, span: Span) -> proto::MembershipState {
        use proto::MembershipState;
        if self == Self::Suspended {
            MembershipState::Suspended
        } else if span.valid_from.is_some_and(|from| from > now) {
            MembershipState::NotYetValid
        } else if span.expires_at.is_some_and(|until| until <= now) {
            MembershipState::Expired
        } else {
            MembershipState::Active
        }
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// Where it stands at a moment.
    pub(crate) fn state_at(&self, now: Time) -> proto::MembershipState {
        let span = Span { valid_from: self.valid_from, expires_at: self.expires_at };
        self.state.at(now, span)
    }

    /// Whether it makes its subject an owner for good at a moment: active, begun, without end.
    pub(crate) fn owns_for_good(&self, roles: &Roles, now: Time) -> bool {
        let active = self.state_at(now) == proto::MembershipState::Active;
        active && self.expires_at.is_none() && roles.contains(BuiltIn::Owner.id())
    }
}

/// Whether a membership counts at a moment: only then does it give rights.
pub(crate) fn counts(now: Time) -> Condition {
    let begun = Column::ValidFrom.is_null().or(Column::ValidFrom.lte(now));
    let goes_on = Column::ExpiresAt.is_null().or(Column::ExpiresAt.gt(now));
    Condition::all().add(Column::State.eq(State::Active)).add(begun).add(goes_on)
}

/// The roles that a subject holds at exactly this organisation, whether or not they count now.
pub(crate) async fn roles(
    connection: &impl ConnectionTrait,
    subject: Uuid,
    organisation: Uuid,
) -> Result<Roles, DbErr> {
    let rows = membership_role::Entity::find()
        .find_also_related(role::Entity)
        .filter(membership_role::Column::SubjectId.eq(subject))
        .filter(membership_role::Column::OrganisationId.eq(organisation))
        .all(connection)
        .await?;
    Ok(rows.into_iter().filter_map(|(_, role)| Some(role?.role())).collect())
}

/// Removes a subject's membership that has ended, with the roles and the access that went with it;
/// answers whether there is none now.
pub(crate) async fn forget_ended(
    tx: &impl ConnectionTrait,
    subject: Uuid,
    organisation: Uuid,
    now: Time,
) -> Result<bool, DbErr> {
    Entity::delete_many()
        .filter(Column::SubjectId.eq(subject))
        .filter(Column::OrganisationId.eq(organisation))
        .filter(Column::ExpiresAt.lte(now))
        .exec(tx)
        .await?;
    Ok(Entity::find_by_id((subject, organisation)).one(tx).await?.is_none())
}

/// The time of a membership: from when, and until when it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub valid_from: Option<Time>,
    pub expires_at: Option<Time>,
}

impl Span {
    /// Reads the time of a membership to be, from the fields of these names: both moments lie ahead,
    /// the end after the beginning.
    pub(crate) fn read(
        fields: &mut Fields,
        (from, until): (&str, &str),
        (valid_from, expires_at): (Option<Timestamp>, Option<Timestamp>),
        now: Time,
    ) -> Option<Self> {
        let valid_from = read_moment(fields, from, valid_from, now);
        let expires_at = read_moment(fields, until, expires_at, now);
        let span = Self { valid_from: valid_from?, expires_at: expires_at? };
        let fits = span.ends_after_beginning();
        fields.read(until, if fits { Ok(span) } else { Err(AFTER_BEGINNING) })
    }

    pub(crate) fn ends_after_beginning(&self) -> bool {
        self.valid_from.zip(self.expires_at).is_none_or(|(from, until)| until > from)
    }

    /// When its next beginning or end is, after a moment.
    pub(crate) fn next_change(&self, now: Time) -> Option<Time> {
        self.valid_from.filter(|from| *from > now).or(self.expires_at)
    }
}

/// What is wrong with an end that comes too early.
pub(crate) const AFTER_BEGINNING: Malformed = Malformed("a moment after the beginning");

/// Reads a moment that lies ahead; none is fine. Whole microseconds, which is what databases keep.
pub(crate) fn read_moment(
    fields: &mut Fields,
    field: &str,
    moment: Option<Timestamp>,
    now: Time,
) -> Option<Option<Time>> {
    let Some(moment) = moment else { return Some(None) };
    let nanos = moment.nanos - moment.nanos % 1000;
    let fits = moment.seconds <= LAST_SECOND && (0..1_000_000_000).contains(&nanos);
    let at = api::time(&Timestamp { nanos, ..moment }).filter(|at| fits && *at > now);
    let expected = Malformed("a moment to come, in the year 9999 at the latest");
    fields.read(field, at.ok_or(expected)).map(Some)
}

/// The end of the year 9999: what a protobuf timestamp can say.
const LAST_SECOND: i64 = 253_402_300_799;

/// Adds roles to a subject's membership, which begins if there is none, with this time. A membership
/// that there is keeps its time: an invitation never lowers anyone.
pub(crate) async fn grant(
    tx: &impl ConnectionTrait,
    subject: Uuid,
    organisation: Uuid,
    roles: &Roles,
    new: New,
) -> Result<(), DbErr> {
    let person = person::Entity::find_by_id(subject).one(tx).await?;
    let name = person.map(|person| fold(&person.display_name)).unwrap_or_default();
    let membership = ActiveModel {
        subject_id: Set(subject),
        organisation_id: Set(organisation),
        id: Set(new.id),
        state: Set(State::Active),
        is_service_account: Set(new.is_service_account),
        valid_from: Set(new.span.valid_from),
        expires_at: Set(new.span.expires_at),
        next_change_at: Set(new.span.next_change(new.now)),
        search_name: Set(name.into_bytes()),
        version: Set(1),
        created_at: Set(new.now),
    };
    // The same statement takes the row of a membership that there is: whoever changes its roles
    // comes before or after.
    let exists = OnConflict::columns([Column::SubjectId, Column::OrganisationId])
        .value(Column::Version, Expr::col((Entity, Column::Version)).add(1))
        .to_owned();
    Entity::insert(membership).on_conflict(exists).exec_without_returning(tx).await?;
    let rows = roles.iter().map(|role| membership_role::ActiveModel {
        subject_id: Set(subject),
        organisation_id: Set(organisation),
        role_id: Set(role.id),
    });
    let held = OnConflict::new().do_nothing().to_owned();
    membership_role::Entity::insert_many(rows).on_conflict(held).exec_without_returning(tx).await?;
    Ok(())
}

/// What a membership begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct New {
    pub id: Uuid,
    pub is_service_account: bool,
    pub span: Span,
    pub now: Time,
}

/// Whether somebody owns an organisation for good: active, begun, without end. Whoever takes an
/// owner away asks with the organisation's row held ([`organisation::hold`]).
pub(crate) async fn has_lasting_owner(
    connection: &impl ConnectionTrait,
    organisation: Uuid,
    now: Time,
) -> Result<bool, DbErr> {
    let owner = membership_role::Entity::find()
        .filter(membership_role::Column::RoleId.eq(BuiltIn::Owner.id()))
        .filter(membership_role::Column::OrganisationId.eq(organisation))
        .filter(counts(now))
        .filter(Column::ExpiresAt.is_null());
    let owner = with_membership(connection, owner);
    Ok(owner.one(connection).await?.is_some())
}

/// Whether anybody is owner of the platform.
pub(crate) async fn platform_has_owner(
    connection: &impl ConnectionTrait,
    now: Time,
) -> Result<bool, DbErr> {
    has_lasting_owner(connection, PLATFORM, now).await
}

/// Holds a membership until the end of the transaction, against those who do the same and against
/// its end. `false` if there is none.
pub(crate) async fn hold(
    tx: &DatabaseTransaction,
    subject: Uuid,
    organisation: Uuid,
) -> Result<bool, DbErr> {
    let found = Entity::find_by_id((subject, organisation)).lock(LockType::NoKeyUpdate);
    Ok(found.one(tx).await?.is_some())
}
