use api::organisation::v1::{AcceptInvitationRequest, AcceptInvitationResponse, MembershipChanged};
use kernel::{Fields, parse_id};
use sea_orm::{DatabaseTransaction, ExprTrait as _, entity::prelude::*, sea_query::Expr};

use crate::{
    Organisations,
    call::Call,
    change::{Change, Record},
    domain::{invitation::State as Stands, permission::Permission, role::Roles},
    entity::{
        invitation::{self, Column, State},
        membership::{self, New},
        person, role,
    },
    error::Error,
    settlement::settled,
};

/// The invitee takes the offer and is a member when this answers; accepting twice is once.
///
/// Only the invitee, signed in: the account must be the one that the address was invited as. The
/// change of state is one compare-and-set. The inviter must at this moment still be entitled to
/// make the offer (`invitations.create` there, and the ceiling); whoever left or was demoted
/// cannot let anybody in by an old invitation. Events: `organisation.invitation.settled.v1`,
/// `organisation.membership.created.v1`.
pub(crate) async fn accept(
    service: &Organisations,
    call: &Call,
    request: AcceptInvitationRequest,
) -> Result<AcceptInvitationResponse, Error> {
    let AcceptInvitationRequest { id, request_id: _ } = request;
    let mut fields = Fields::default();
    let Some(id) = fields.read("id", parse_id(&id)) else {
        return Err(Error::Invalid(fields));
    };
    if !call.is_person() {
        return Err(Error::InviteeRequired);
    }

    let change = service.begin(call).await?;
    let now = change.now;
    let accepted = invitation::Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Accepted))
        .col_expr(Column::UpdatedAt, Expr::value(now))
        .col_expr(Column::Version, Expr::col(Column::Version).add(1))
        .filter(Column::Id.eq(id))
        .filter(Column::InviteeId.eq(call.subject))
        .filter(Column::State.eq(State::Pending))
        .filter(Column::ExpiresAt.gt(now))
        .exec(&*change)
        .await?;
    let found = invitation::Entity::find_by_id(id).one(&*change).await?;
    let found = found.ok_or(Error::InvitationNotFound)?;
    if accepted.rows_affected == 0 {
        refuse_or_repeat(service, call, &change, &found, found.state_at(now)).await?;
        let answer = AcceptInvitationResponse { invitation: Some(found.seen_at(now)) };
        return change.commit(answer).await;
    }
    let roles = require_inviter(&change, &found).await?;
    person::remember_caller(&*change, call).await?;
    join(service, &change, &found, &roles).await?;
    settled(&change, &found, State::Accepted).await?;
    let event = MembershipChanged {
        organisation_id: found.organisation_id.to_string(),
        subject_id: call.subject.to_string(),
    };
    change.announce("organisation.membership.created.v1", found.organisation_id, &event).await?;
    let record = Record::of("membership", call.subject, found.organisation_id);
    change.record(record.invitation(id).detail(format!("roles={roles}"))).await?;
    change.commit(AcceptInvitationResponse { invitation: Some(found.seen_at(now)) }).await
}

/// The roles as they are now, if the inviter may still offer them. The inviter's roles are held until
/// the end of the transaction: a demotion comes before or after.
async fn require_inviter(change: &Change<'_>, found: &invitation::Model) -> Result<Roles, Error> {
    let organisation = found.organisation_id;
    let inviter = found.inviter_id;
    let rights = membership::rights_held(change, inviter, organisation, change.now).await?;
    rights.require(Permission::InvitationsCreate).map_err(|_| Error::InviterLostRight)?;
    let offered = role::find_again(&**change, role::given_at(organisation), &found.roles).await?;
    let offered = offered.ok_or(Error::InviterLostRight)?;
    let granted = rights.require_to_grant(&offered, found.inviter_kind.into());
    granted.map(|()| offered).map_err(|_| Error::InviterLostRight)
}

async fn join(
    service: &Organisations,
    change: &Change<'_>,
    found: &invitation::Model,
    roles: &Roles,
) -> Result<(), Error> {
    let new = New {
        id: service.clock.new_id(),
        is_service_account: false,
        span: found.span(),
        now: change.now,
    };
    let (invitee, organisation) = (found.invitee_id, found.organisation_id);
    Ok(membership::grant(&**change, invitee, organisation, roles, new).await?)
}

/// Why nothing was changed: somebody else's invitation, one that was accepted before by the same
/// person (which is fine), or one that no longer waits.
async fn refuse_or_repeat(
    service: &Organisations,
    call: &Call,
    tx: &DatabaseTransaction,
    found: &invitation::Model,
    state: Stands,
) -> Result<(), Error> {
    if found.invitee_id != call.subject {
        let rights = service.rights(call, tx, found.organisation_id).await?;
        let sees = rights.allow(Permission::InvitationsRead);
        return Err(if sees { Error::InviteeRequired } else { Error::InvitationNotFound });
    }
    if state == Stands::Accepted { Ok(()) } else { Err(Error::NotPending(state)) }
}
