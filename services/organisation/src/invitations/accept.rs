use api::organisation::v1::{AcceptInvitationRequest, AcceptInvitationResponse};
use kernel::{EmailAddress, Fields, parse_id};
use sea_orm::{ExprTrait as _, entity::prelude::*, sea_query::Expr};
use service::CallerKind;

use crate::{
    Organisations,
    call::Call,
    change::Change,
    domain::{
        invitation::State as Stands, invitation_policy::InvitationPolicy, permission::Permission,
        rights::Denied, role::Roles,
    },
    entity::{
        invitation::{self, Column, State},
        membership, organisation, person, role,
    },
    error::Error,
    joining,
    settlement::settled,
};

/// The invitee takes the offer and is a member when this answers; accepting twice is once. Where the
/// organisation, or one above it, wants an approval, an access request waits for it instead.
///
/// Only the invitee, signed in: the account must be the one that the address was invited as. The
/// change of state is one compare-and-set. The inviter must at this moment still be entitled to
/// make the offer (`invitations.create` there, and the ceiling); whoever left or was demoted
/// cannot let anybody in by an old invitation. So must be the domains of the address that was
/// invited and of the one that signs in. Events: `organisation.invitation.settled.v1`, and what
/// joining brings about.
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
    let CallerKind::Person { email, .. } = &call.kind else { return Err(Error::InviteeRequired) };

    let change = service.begin(call).await?;
    let now = change.now;
    let accepted = take(&change, call.subject, id).await?;
    let found = invitation::Entity::find_by_id(id).one(&*change).await?;
    let mut found = found.ok_or(Error::InvitationNotFound)?;
    if !accepted {
        joining::require_invitee(service, &change, call, &found).await?;
        let state = found.state_at(now);
        if state != Stands::Accepted {
            return Err(Error::NotPending(state));
        }
        return change
            .commit(AcceptInvitationResponse { invitation: Some(found.seen_at(now)) })
            .await;
    }
    call.note(found.organisation_id);
    let policy = organisation::invitation_policy(&*change, found.organisation_id).await?;
    require_domains(&policy, &found, email)?;
    let roles = require_inviter(&change, &found).await?;
    person::remember_caller(&*change, call).await?;
    settled(&change, &found, State::Accepted).await?;
    if policy.approval_required() {
        found.access_request_id = Some(joining::ask(service, &change, &found, roles).await?);
    } else {
        joining::fulfil(service, &change, &found, &roles).await?;
    }
    change.commit(AcceptInvitationResponse { invitation: Some(found.seen_at(now)) }).await
}

/// Accepts it, if it waits and is the caller's; of many at once one does.
async fn take(change: &Change<'_>, invitee: Uuid, id: Uuid) -> Result<bool, DbErr> {
    let accepted = invitation::Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Accepted))
        .col_expr(Column::UpdatedAt, Expr::value(change.now))
        .col_expr(Column::Version, Expr::col(Column::Version).add(1))
        .filter(Column::Id.eq(id))
        .filter(Column::InviteeId.eq(invitee))
        .filter(Column::State.eq(State::Pending))
        .filter(Column::ExpiresAt.gt(change.now))
        .exec(&**change)
        .await?;
    Ok(accepted.rows_affected == 1)
}

/// The address that was invited, and the one that the person has by now.
fn require_domains(
    policy: &InvitationPolicy,
    found: &invitation::Model,
    email: &EmailAddress,
) -> Result<(), Error> {
    let invited = EmailAddress::parse(&found.email);
    let invited = invited.map_err(|error| Error::Internal(error.to_string()))?;
    match policy.refused_domain(&invited).or_else(|| policy.refused_domain(email)) {
        Some(domain) => Err(Error::DomainNotAllowed { domain: domain.to_owned() }),
        None => Ok(()),
    }
}

/// The roles as they are now, if the inviter may still offer them. The inviter's roles are held until
/// the end of the transaction: a demotion comes before or after.
async fn require_inviter(change: &Change<'_>, found: &invitation::Model) -> Result<Roles, Error> {
    let organisation = found.organisation_id;
    let inviter = found.inviter_id;
    let rights = membership::rights_held(change, inviter, organisation, change.now).await?;
    match rights.require(Permission::InvitationsCreate) {
        Ok(()) => {}
        Err(Denied::Archived) => return Err(Denied::Archived.into()),
        Err(_) => return Err(Error::InviterLostRight),
    }
    let offered = role::find_again(&**change, role::given_at(organisation), &found.roles).await?;
    let offered = offered.ok_or(Error::InviterLostRight)?;
    let granted = rights.require_to_grant(&offered, found.inviter_kind.into());
    granted.map(|()| offered).map_err(|_| Error::InviterLostRight)
}

#[cfg(test)]
mod tests;
