use api::organisation::v1 as proto;
use kernel::{Time, Uuid};
use sea_orm::{ConnectionTrait, DatabaseTransaction, entity::prelude::*, sea_query::Expr};

use super::person;

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
    /// As callers see it.
    pub(crate) fn seen(self, requester: Option<person::Model>) -> proto::AccessRequest {
        let state = match self.state {
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

/// Settles a pending request; `false` if somebody was faster.
pub(crate) async fn settle(
    tx: &DatabaseTransaction,
    id: Uuid,
    state: State,
    decision: Decision<'_>,
    now: Time,
) -> Result<bool, DbErr> {
    let none = Expr::value(None::<Time>);
    let settled = Entity::update_many()
        .col_expr(Column::State, Expr::value(state))
        .col_expr(Column::DecidedBy, Expr::value(decision.by))
        .col_expr(Column::DecisionReason, Expr::value(decision.reason))
        .col_expr(Column::DecidedAt, Expr::value(now))
        .col_expr(Column::NextChangeAt, none)
        .filter(Column::Id.eq(id))
        .filter(Column::State.eq(State::Pending))
        .exec(tx)
        .await?;
    Ok(settled.rows_affected == 1)
}

/// By whom and why; nobody and nothing where time or circumstances settle a request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Decision<'a> {
    pub by: Option<Uuid>,
    pub reason: &'a str,
}

/// The pending requests of a subject at an organisation: what leaving settles.
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
