use api::organisation::v1::{AcceptInvitationRequest, AcceptInvitationResponse};
use kernel::{Fields, parse_id};
use sea_orm::{DatabaseTransaction, entity::prelude::*, sea_query::Expr};
use service::Caller;

use crate::{
    Organisations,
    domain::{invitation::State as Stands, permission::Permission},
    entity::{
        invitation::{self, Column, State},
        membership, person,
    },
    error::Error,
};

/// The invitee takes the offer and is a member when this answers; accepting twice is once.
///
/// Only the invitee, signed in: the account must be the one that the address was invited as. The
/// change of state is one compare-and-set. The inviter must at this moment still be entitled to
/// make the offer (`invitations.create` there, and the ceiling); whoever left or was demoted
/// cannot let anybody in by an old invitation.
pub(crate) async fn accept(
    service: &Organisations,
    caller: &Caller,
    request: AcceptInvitationRequest,
) -> Result<AcceptInvitationResponse, Error> {
    let AcceptInvitationRequest { id, .. } = request;
    let mut fields = Fields::default();
    let Some(id) = fields.read("id", parse_id(&id)) else {
        return Err(Error::Invalid(fields));
    };
    if !caller.is_person() {
        return Err(Error::InviteeRequired);
    }

    let now = service.clock.now();
    let tx = service.database.begin().await?;
    let accepted = invitation::Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Accepted))
        .col_expr(Column::UpdatedAt, Expr::value(now))
        .filter(Column::Id.eq(id))
        .filter(Column::InviteeId.eq(caller.subject))
        .filter(Column::State.eq(State::Pending))
        .filter(Column::ExpiresAt.gt(now))
        .exec(&*tx)
        .await?;
    let found = invitation::Entity::find_by_id(id).one(&*tx).await?;
    let found = found.ok_or(Error::InvitationNotFound)?;
    if accepted.rows_affected == 0 {
        refuse_or_repeat(&tx, caller, &found, found.state_at(now)).await?;
    } else {
        require_inviter(&tx, &found).await?;
        let (organisation, roles) = (found.organisation_id, found.roles());
        let membership_id = service.clock.new_id();
        membership::grant(&*tx, caller.subject, organisation, &roles, membership_id, now).await?;
        person::remember_caller(&*tx, caller).await?;
        tx.commit().await?;
    }
    Ok(AcceptInvitationResponse { invitation: Some(found.seen_at(now)) })
}

/// The inviter's roles are held until the end of the transaction: a demotion comes before or after.
async fn require_inviter(tx: &DatabaseTransaction, found: &invitation::Model) -> Result<(), Error> {
    let rights = membership::rights_held(tx, found.inviter_id, found.organisation_id).await?;
    let entitled = rights.require(Permission::InvitationsCreate);
    let granted =
        entitled.and_then(|()| rights.require_to_grant(&found.roles(), found.inviter_kind.into()));
    granted.map_err(|_| Error::InviterLostRight)
}

/// Why nothing was changed: somebody else's invitation, one that was accepted before by the same
/// person (which is fine), or one that no longer waits.
async fn refuse_or_repeat(
    tx: &DatabaseTransaction,
    caller: &Caller,
    found: &invitation::Model,
    state: Stands,
) -> Result<(), Error> {
    if found.invitee_id != caller.subject {
        let rights = membership::rights(tx, caller.subject, found.organisation_id).await?;
        let sees = rights.allow(Permission::InvitationsRead);
        return Err(if sees { Error::InviteeRequired } else { Error::InvitationNotFound });
    }
    if state == Stands::Accepted { Ok(()) } else { Err(Error::NotPending(state)) }
}
