//! How an offer becomes a membership: what accepting an invitation and approving it have in common.

use api::organisation::v1::{ApplicationAccessChanged, MembershipChanged};
use kernel::Uuid;
use sea_orm::{entity::prelude::*, sea_query::Expr};

use crate::{
    Organisations,
    call::Call,
    change::{Change, Record},
    domain::{
        access_request::{Reason, Target, Times},
        permission::Permission,
        role::Roles,
    },
    entity::{
        access_request, application, application_access, invitation,
        membership::{self, New},
        role,
    },
    error::Error,
};

/// Only the invitee answers an invitation. Whoever may look at it hears that; to anybody else there
/// is none.
pub(crate) async fn require_invitee(
    service: &Organisations,
    change: &Change<'_>,
    call: &Call,
    found: &invitation::Model,
) -> Result<(), Error> {
    if found.invitee_id == call.subject {
        return Ok(());
    }
    let rights = service.rights(call, &**change, found.organisation_id).await?;
    let sees = rights.allow(Permission::InvitationsRead);
    Err(if sees { Error::InviteeRequired } else { Error::InvitationNotFound })
}

/// Gives an invitee what an invitation offers.
///
/// The roles, for the time that it says. Whoever is a member already gets them on top: an invitation
/// never lowers anyone, and leaves a membership's time as it is. A membership that has ended is no
/// membership: it begins anew, without the roles that it had. The application, with its default
/// role, if the application says so (source 000: none is assigned otherwise) and they have no access
/// yet. What else the organisation offers them is settled, if it offers nothing more. Events: `organisation.membership.created.v1` or `….updated.v1`, and
/// `organisation.application_access.granted.v1`.
pub(crate) async fn fulfil(
    service: &Organisations,
    change: &Change<'_>,
    found: &invitation::Model,
    roles: &Roles,
) -> Result<(), Error> {
    let (subject, organisation) = (found.invitee_id, found.organisation_id);
    let joins = membership::forget_ended(&**change, subject, organisation, change.now).await?;
    let new = New {
        id: service.clock.new_id(),
        is_service_account: false,
        span: found.span(),
        now: change.now,
    };
    membership::grant(&**change, subject, organisation, roles, new).await?;
    let key = if joins {
        "organisation.membership.created.v1"
    } else {
        "organisation.membership.updated.v1"
    };
    let event = MembershipChanged {
        organisation_id: organisation.to_string(),
        subject_id: subject.to_string(),
    };
    change.announce(key, organisation, &event).await?;
    let record = Record::of("membership", subject, organisation).invitation(found.id);
    change.record(record.detail(format!("roles={roles}"))).await?;
    give_application(change, found).await?;
    Ok(invitation::settle_offered(change, subject, organisation).await?)
}

async fn give_application(change: &Change<'_>, found: &invitation::Model) -> Result<(), Error> {
    let (subject, organisation) = (found.invitee_id, found.organisation_id);
    let Some(application) = assigned(change, found).await? else { return Ok(()) };
    if application_access::exists(&**change, subject, organisation, application.id).await? {
        return Ok(());
    }
    let roles = role::by_id(&**change, [application.default_role_id]).await?;
    let (tx, now) = (&**change, change.now);
    application_access::grant(tx, subject, organisation, application.id, &roles, now).await?;
    let event = ApplicationAccessChanged {
        application_id: application.id.to_string(),
        organisation_id: organisation.to_string(),
        subject_id: subject.to_string(),
    };
    change.announce("organisation.application_access.granted.v1", application.id, &event).await?;
    let record = Record::of("application_access", application.id, organisation);
    change.record(record.invitation(found.id).detail(format!("roles={roles}"))).await?;
    Ok(())
}

/// The application that an acceptance gives access to, if it still can be used and wants that.
async fn assigned(
    change: &Change<'_>,
    found: &invitation::Model,
) -> Result<Option<application::Model>, Error> {
    let Some(id) = found.application_id else { return Ok(None) };
    let usable = application::find_usable(&**change, id, found.organisation_id).await?;
    Ok(usable.filter(|application| application.assign_on_invite))
}

/// Asks for the approval that an acceptance waits for: approving it fulfils the invitation.
pub(crate) async fn ask(
    service: &Organisations,
    change: &Change<'_>,
    found: &invitation::Model,
    roles: Roles,
) -> Result<Uuid, Error> {
    let new = access_request::New {
        id: service.clock.new_id(),
        organisation_id: found.organisation_id,
        requester_id: found.invitee_id,
        roles,
        target: Target::Invitation(found.id),
        reason: Reason::default(),
        times: Times::from(change.now, service.patience),
    };
    // Of one invitation there is one request, as it is accepted once.
    let opened = access_request::open(change, new).await?;
    let id = opened.map_or_else(|pending| pending, |opened| opened.id);
    invitation::Entity::update_many()
        .col_expr(invitation::Column::AccessRequestId, Expr::value(id))
        .filter(invitation::Column::Id.eq(found.id))
        .exec(&**change)
        .await?;
    Ok(id)
}
