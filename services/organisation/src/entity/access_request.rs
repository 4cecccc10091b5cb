mod deciders;

use api::organisation::v1::{self as proto, AccessRequestChanged, AccessRequestMailDue};
use kernel::{Malformed, Time, Uuid};
use sea_orm::{
    Condition, ConnectionTrait, DatabaseTransaction, IntoActiveModel as _, QuerySelect as _,
    QueryTrait as _,
    entity::prelude::*,
    sea_query::{Expr, OnConflict},
};

use super::{ancestor, membership, person, role};
use crate::{
    call::Call,
    change::{Change, Record},
    domain::{
        access_request::{Reason, Target, Times},
        permission::Permission,
        role::Roles,
    },
};
pub(crate) use deciders::{barred, deciders};

/// Somebody asks for a role or for an application.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "access_requests")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub organisation_id: Uuid,
    pub requester_id: Uuid,
    /// Role keys with spaces between: of the organisation, or of the application.
    pub roles: String,
    pub application_id: Option<Uuid>,
    /// The invitation whose acceptance waits for this.
    pub invitation_id: Option<Uuid>,
    /// What makes two requests the same: `role:KEY` (folded), `application:ID` or `invitation:ID`.
    pub target: String,
    pub reason: String,
    pub state: State,
    pub overdue: bool,
    pub no_approvers: bool,
    pub decided_by: Option<Uuid>,
    pub decision_reason: String,
    pub created_at: DateTimeUtc,
    pub remind_at: DateTimeUtc,
    pub due_at: DateTimeUtc,
    pub expires_at: DateTimeUtc,
    pub decided_at: Option<DateTimeUtc>,
    /// When something is to be done about it; nothing once it is settled.
    pub next_change_at: Option<DateTimeUtc>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
pub(crate) enum State {
    Pending,
    Approved,
    Rejected,
    Withdrawn,
    Expired,
}

impl State {
    /// As callers read it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
        }
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// Where it stands at a moment: a pending request whose time is over has expired, whether or not
    /// its row says so yet.
    pub(crate) fn state_at(&self, now: Time) -> State {
        let is_over = self.state == State::Pending && self.expires_at <= now;
        if is_over { State::Expired } else { self.state }
    }

    /// The application that it is for; an invitation's application comes with the invitation.
    pub(crate) fn wants_application(&self) -> Option<Uuid> {
        self.application_id.filter(|_| self.invitation_id.is_none())
    }

    /// The roles asked for as they are now; `None` if one of them is gone.
    pub(crate) async fn roles_now(
        &self,
        connection: &impl ConnectionTrait,
    ) -> Result<Option<Roles>, DbErr> {
        let among = match self.wants_application() {
            Some(application) => role::of_application(application),
            None => role::given_at(self.organisation_id),
        };
        role::find_again(connection, among, &self.roles).await
    }

    /// What the history says of it.
    pub(crate) fn record(&self) -> Record {
        let record = Record::of("access_request", self.id, self.organisation_id);
        let record = record.access_request(self.id);
        self.invitation_id.into_iter().fold(record, Record::invitation)
    }

    /// When something is to be done about it.
    pub(crate) fn times(&self) -> Times {
        let Self { remind_at, due_at, expires_at, .. } = *self;
        Times { remind_at, due_at, expires_at }
    }

    /// As callers see it at a moment.
    pub(crate) fn seen_at(
        self,
        requester: Option<person::Model>,
        now: Time,
    ) -> proto::AccessRequest {
        let state = match self.state_at(now) {
            State::Pending => proto::AccessRequestState::Pending,
            State::Approved => proto::AccessRequestState::Approved,
            State::Rejected => proto::AccessRequestState::Rejected,
            State::Withdrawn => proto::AccessRequestState::Withdrawn,
            State::Expired => proto::AccessRequestState::Expired,
        };
        let id = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
        let (email, display_name) =
            requester.map(|person| (person.email, person.display_name)).unwrap_or_default();
        proto::AccessRequest {
            id: self.id.to_string(),
            organisation_id: self.organisation_id.to_string(),
            requester_id: self.requester_id.to_string(),
            requester_email: email,
            requester_display_name: display_name,
            roles: self.roles.split_whitespace().map(str::to_owned).collect(),
            application_id: id(self.application_id),
            invitation_id: id(self.invitation_id),
            reason: self.reason,
            state: state.into(),
            overdue: self.overdue,
            no_approvers: self.no_approvers,
            decided_by_id: id(self.decided_by),
            decision_reason: self.decision_reason,
            created_at: Some(api::timestamp(self.created_at)),
            due_at: Some(api::timestamp(self.due_at)),
            expires_at: Some(api::timestamp(self.expires_at)),
            decided_at: self.decided_at.map(api::timestamp),
        }
    }
}

/// The rows that are in a state at a moment, or all: one whose time is over need not say so yet.
pub(crate) fn in_state(number: i32, now: Time) -> Result<Condition, Malformed> {
    use proto::AccessRequestState as Seen;
    let is = |state: State| Condition::all().add(Column::State.eq(state));
    let wanted = Seen::try_from(number).map_err(|_| Malformed("a state of an access request"))?;
    Ok(match wanted {
        Seen::Unspecified => Condition::all(),
        Seen::Pending => is(State::Pending).add(Column::ExpiresAt.gt(now)),
        Seen::Approved => is(State::Approved),
        Seen::Rejected => is(State::Rejected),
        Seen::Withdrawn => is(State::Withdrawn),
        Seen::Expired => Condition::any()
            .add(is(State::Expired))
            .add(is(State::Pending).add(Column::ExpiresAt.lte(now))),
    })
}

/// A request as a caller finds it: their own, or one at an organisation where they hold
/// `requests.read`.
pub(crate) async fn seen_by(
    connection: &impl ConnectionTrait,
    id: Uuid,
    call: &Call,
    now: Time,
) -> Result<Option<Model>, DbErr> {
    let Some(found) = Entity::find_by_id(id).one(connection).await? else { return Ok(None) };
    call.note(found.organisation_id);
    if found.requester_id == call.subject {
        return Ok(Some(found));
    }
    let rights = membership::rights(connection, call.subject, found.organisation_id, now).await?;
    Ok(rights.allow(Permission::RequestsRead).then_some(found))
}

/// What somebody asks for.
#[derive(Clone, Debug)]
pub(crate) struct New {
    pub id: Uuid,
    pub organisation_id: Uuid,
    pub requester_id: Uuid,
    /// Of the organisation; where an application is asked for, of that.
    pub roles: Roles,
    pub target: Target,
    pub reason: Reason,
    pub times: Times,
}

/// Makes a request and tells of it: event, history, and mails to the requester and to those who can
/// decide. Answers the identifier of the pending one instead if the same was asked for before.
pub(crate) async fn open(change: &Change<'_>, new: New) -> Result<Result<Model, Uuid>, DbErr> {
    let New { id, organisation_id, requester_id, roles, target, reason, times } = new;
    let (application_id, invitation_id) = match target {
        Target::Role(_) => (None, None),
        Target::Application(id) => (Some(id), None),
        Target::Invitation(id) => (None, Some(id)),
    };
    let mut opened = Model {
        id,
        organisation_id,
        requester_id,
        roles: roles.to_string(),
        application_id,
        invitation_id,
        target: target.to_string(),
        reason: reason.into(),
        state: State::Pending,
        overdue: false,
        no_approvers: false,
        decided_by: None,
        decision_reason: String::new(),
        created_at: change.now,
        remind_at: times.remind_at,
        due_at: times.due_at,
        expires_at: times.expires_at,
        decided_at: None,
        next_change_at: Some(times.remind_at),
    };
    let deciders = deciders(&**change, &opened, change.now).await?;
    opened.no_approvers = deciders.none_near;
    let one_pending = OnConflict::new().do_nothing().to_owned();
    let insert = Entity::insert(opened.clone().into_active_model()).on_conflict(one_pending);
    if insert.exec_without_returning(&**change).await? == 0 {
        let pending = pending_of(&**change, requester_id, organisation_id).await?;
        let same = pending.into_iter().find(|pending| pending.target == opened.target);
        return Ok(Err(same.map_or(Uuid::nil(), |same| same.id)));
    }
    announce(change, "organisation.access_request.created.v1", &opened).await?;
    let asked = format!("{}\nroles={}", opened.target, opened.roles);
    change.record(opened.record().detail(asked)).await?;
    mail(change, &opened, &[requester_id], proto::AccessRequestMail::Received).await?;
    mail(change, &opened, &deciders.people, proto::AccessRequestMail::Asked).await?;
    Ok(Ok(opened))
}

/// Settles a pending request and tells of it: event, history, and mails to the requester (unless
/// they withdrew it) and to the others who could have decided. `false`, and nothing is done, if
/// somebody was faster or its time is over.
pub(crate) async fn conclude(
    change: &Change<'_>,
    found: &Model,
    state: State,
    decision: Decision<'_>,
) -> Result<bool, DbErr> {
    if !settle(change, found.id, state, decision, change.now).await? {
        return Ok(false);
    }
    let key = match state {
        State::Pending => return Ok(false),
        State::Approved => "organisation.access_request.approved.v1",
        State::Rejected => "organisation.access_request.rejected.v1",
        State::Withdrawn => "organisation.access_request.withdrawn.v1",
        State::Expired => "organisation.access_request.expired.v1",
    };
    announce(change, key, found).await?;
    change.record(found.record().detail(format!("state={}", state.as_str()))).await?;
    if decision.by != Some(found.requester_id) {
        let decided = proto::AccessRequestMail::Decided;
        mail(change, found, &[found.requester_id], decided).await?;
    }
    let mut others = deciders(&**change, found, change.now).await?.people;
    others.retain(|other| Some(*other) != decision.by);
    mail(change, found, &others, proto::AccessRequestMail::Settled).await?;
    Ok(true)
}

/// By whom and why; nobody and nothing where time or circumstances settle a request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Decision<'a> {
    pub by: Option<Uuid>,
    pub reason: &'a str,
}

/// Settles the pending requests of somebody who has left an organisation (or whose membership no
/// longer counts): those there and below, where nothing else makes them a member. Call it after
/// what took the membership away.
pub(crate) async fn withdraw_left(
    change: &Change<'_>,
    requester: Uuid,
    organisation: Uuid,
) -> Result<(), DbErr> {
    let below = ancestor::Entity::find()
        .select_only()
        .column(ancestor::Column::OrganisationId)
        .filter(ancestor::Column::AncestorId.eq(organisation))
        .into_query();
    let pending = Entity::find()
        .filter(Column::RequesterId.eq(requester))
        .filter(Column::State.eq(State::Pending))
        .filter(Column::OrganisationId.in_subquery(below))
        // Whoever is invited is no member yet.
        .filter(Column::InvitationId.is_null())
        .all(&**change)
        .await?;
    for request in pending {
        if !is_member(change, &request).await? {
            conclude(change, &request, State::Withdrawn, Decision::default()).await?;
        }
    }
    Ok(())
}

/// Whether the requester is still somebody who may ask for this: a member of the organisation or of
/// one above it; for an application of exactly that, as access to it hangs on the membership. Their
/// membership is held until the end of the transaction: leaving comes before or after.
pub(crate) async fn is_member(change: &Change<'_>, request: &Model) -> Result<bool, DbErr> {
    let Model { requester_id, organisation_id, .. } = *request;
    let is_for_application = request.wants_application().is_some();
    let rights = membership::rights_held(change, requester_id, organisation_id, change.now).await?;
    Ok(rights.held.iter().any(|held| held.distance == 0 || !is_for_application))
}

/// The pending requests of a subject at an organisation.
pub(crate) async fn pending_of(
    connection: &impl ConnectionTrait,
    requester: Uuid,
    organisation: Uuid,
) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::RequesterId.eq(requester))
        .filter(Column::OrganisationId.eq(organisation))
        .filter(Column::State.eq(State::Pending))
        .all(connection)
        .await
}

/// Publishes one mail about a request to each of some people.
pub(crate) async fn mail(
    change: &Change<'_>,
    request: &Model,
    recipients: &[Uuid],
    mail: proto::AccessRequestMail,
) -> Result<(), DbErr> {
    for recipient in recipients {
        let event = AccessRequestMailDue {
            access_request_id: request.id.to_string(),
            organisation_id: request.organisation_id.to_string(),
            recipient_id: recipient.to_string(),
            mail: mail.into(),
        };
        // Its subject is the recipient: whose mail server is slow holds up nobody else, and to each
        // the mails come in the order of what they tell.
        change.publish("organisation.access_request.mail.v1", *recipient, &event).await?;
    }
    Ok(())
}

/// Announces an event about a request.
pub(crate) async fn announce(
    change: &Change<'_>,
    key: &'static str,
    request: &Model,
) -> Result<(), DbErr> {
    let event = AccessRequestChanged {
        access_request_id: request.id.to_string(),
        organisation_id: request.organisation_id.to_string(),
    };
    change.announce(key, request.id, &event).await
}

async fn settle(
    tx: &DatabaseTransaction,
    id: Uuid,
    state: State,
    decision: Decision<'_>,
    now: Time,
) -> Result<bool, DbErr> {
    let none = Expr::value(None::<Time>);
    let mut settled = Entity::update_many()
        .col_expr(Column::State, Expr::value(state))
        .col_expr(Column::DecidedBy, Expr::value(decision.by))
        .col_expr(Column::DecisionReason, Expr::value(decision.reason))
        .col_expr(Column::DecidedAt, Expr::value(now))
        .col_expr(Column::NextChangeAt, none)
        .filter(Column::Id.eq(id))
        .filter(Column::State.eq(State::Pending));
    if state != State::Expired {
        settled = settled.filter(Column::ExpiresAt.gt(now));
    }
    Ok(settled.exec(tx).await?.rows_affected == 1)
}
