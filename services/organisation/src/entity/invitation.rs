use api::organisation::v1 as proto;
use kernel::{Time, Uuid};
use sea_orm::{ConnectionTrait, entity::prelude::*, sea_query::Expr};

use super::membership;
use crate::domain::{
    invitation::State as DomainState,
    permission::Permission,
    rights::{Giver as DomainGiver, Rights},
    role::Roles,
};

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
    /// Role keys with spaces between.
    pub roles: String,
    pub state: State,
    pub locale: String,
    pub inviter_id: Uuid,
    pub inviter_kind: Giver,
    pub invitee_id: Uuid,
    /// Counts the links, from 1: an earlier link than this is dead.
    pub issue: i32,
    pub expires_at: DateTimeUtc,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
    pub deleted_at: Option<DateTimeUtc>,
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

    pub(crate) fn roles(&self) -> Roles {
        Roles::parse_row(&self.roles)
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
        proto::Invitation {
            roles: self.roles().to_strings(),
            id: self.id.to_string(),
            organisation_id: self.organisation_id.to_string(),
            email: self.email,
            display_name: self.display_name,
            state: state.into(),
            locale: self.locale,
            inviter_id: self.inviter_id.to_string(),
            invitee_id: self.invitee_id.to_string(),
            expires_at: Some(api::timestamp(self.expires_at)),
            created_at: Some(api::timestamp(self.created_at)),
            updated_at: Some(api::timestamp(self.updated_at)),
            deleted_at: self.deleted_at.map(api::timestamp),
            ..Default::default()
        }
    }
}

/// An invitation as a subject with `invitations.read` at its organisation finds it, with their
/// rights there.
pub(crate) async fn seen_by(
    connection: &impl ConnectionTrait,
    id: Uuid,
    subject: Uuid,
) -> Result<Option<(Model, Rights)>, DbErr> {
    let Some(found) = Entity::find_by_id(id).one(connection).await? else { return Ok(None) };
    let rights = membership::rights(connection, subject, found.organisation_id).await?;
    Ok(rights.allow(Permission::InvitationsRead).then_some((found, rights)))
}

/// Writes down that pending invitations of an address have run out, so that a new one may be
/// pending.
pub(crate) async fn settle_expired(
    tx: &impl ConnectionTrait,
    organisation: Uuid,
    email: &str,
    now: Time,
) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Expired))
        .col_expr(Column::UpdatedAt, Expr::value(now))
        .filter(Column::OrganisationId.eq(organisation))
        .filter(Column::Email.eq(email))
        .filter(Column::State.eq(State::Pending))
        .filter(Column::ExpiresAt.lte(now))
        .exec(tx)
        .await?;
    Ok(())
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

/// What kind of giver a caller is.
pub(crate) fn giver(caller: &service::Caller) -> DomainGiver {
    if caller.is_person() { DomainGiver::Person } else { DomainGiver::ServiceAccount }
}

impl From<DomainGiver> for Giver {
    fn from(giver: DomainGiver) -> Self {
        match giver {
            DomainGiver::Person => Self::Person,
            DomainGiver::ServiceAccount => Self::ServiceAccount,
        }
    }
}
