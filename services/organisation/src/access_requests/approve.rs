use api::organisation::v1::{
    ApplicationAccessChanged, ApproveAccessRequestRequest, ApproveAccessRequestResponse,
    MembershipChanged,
};
use kernel::{Fields, Uuid, parse_id};
use sea_orm::EntityTrait as _;

use super::{require_decider, require_pending, seen_again, settled_before};
use crate::{
    Organisations,
    call::Call,
    change::{Change, Record},
    domain::{access_request::Reason, role::Roles},
    entity::{
        access_request::{self, Decision, Model, State},
        application, application_access, invitation,
        membership::{self, New, Span},
    },
    error::Error,
    joining,
};

/// Grants what was asked for.
///
/// Needs `requests.decide` at the organisation and, at this moment, every permission of the roles;
/// for an application `applications.grant`. Nobody decides on their own request, nor an inviter on
/// their invitation; of many decisions one counts. The requester must still be a member, unless the
/// request is for the acceptance of an invitation. Event: `organisation.access_request.approved.v1`
/// and that of what is granted; mails to the requester and to the others who could have decided.
pub(crate) async fn approve(
    service: &Organisations,
    call: &Call,
    request: ApproveAccessRequestRequest,
) -> Result<ApproveAccessRequestResponse, Error> {
    let ApproveAccessRequestRequest { id, reason, request_id: _ } = request;
    let mut fields = Fields::default();
    let id = fields.read("id", parse_id(&id));
    let reason = fields.read("reason", Reason::parse(&reason));
    let (Some(id), Some(reason)) = (id, reason) else {
        return Err(Error::Invalid(fields));
    };

    let change = service.begin(call).await?;
    let seen = access_request::seen_by(&*change, id, call, change.now).await?;
    let found = seen.ok_or(Error::AccessRequestNotFound)?;
    let roles = hold_and_require(&change, call, &found).await?;
    let decision = Decision { by: Some(call.subject), reason: reason.as_str() };
    if !access_request::conclude(&change, &found, State::Approved, decision).await? {
        return Err(settled_before(&change, &found).await?);
    }
    match (found.invitation_id, found.application_id) {
        (Some(invitation), _) => join(service, &change, invitation, &roles).await?,
        (None, Some(application)) => give_access(&change, &found, application, &roles).await?,
        (None, None) => give_roles(service, &change, &found, &roles).await?,
    }
    let access_request = Some(seen_again(&change, &found).await?);
    change.commit(ApproveAccessRequestResponse { access_request }).await
}

/// Whether the caller may grant it and the requester may have it, both held until the end of the
/// transaction: demotion, leaving and the end of what was asked for come before or after. Answers
/// the roles as they are now.
async fn hold_and_require(change: &Change<'_>, call: &Call, found: &Model) -> Result<Roles, Error> {
    let Model { requester_id, organisation_id, .. } = *found;
    invitation::hold_offered(change, requester_id, organisation_id).await?;
    // What is granted is written into the requester's membership. Two who decide on one another at
    // once take the two memberships in one order.
    if requester_id < call.subject {
        membership::hold(change, requester_id, organisation_id).await?;
    }
    let roles = require_decider(change, call, found).await?;
    require_pending(found, change.now)?;
    membership::hold(change, requester_id, organisation_id).await?;
    if let Some(application) = found.wants_application() {
        let usable = application::find_usable(&**change, application, organisation_id).await?;
        if usable.is_none() || !application::hold(change, application).await? {
            return Err(Error::ApplicationNotFound);
        }
    }
    let roles = roles.ok_or(Error::RoleNotFound)?;
    if found.invitation_id.is_none() && !access_request::is_member(change, found).await? {
        return Err(Error::MemberRequired);
    }
    Ok(roles)
}

async fn join(
    service: &Organisations,
    change: &Change<'_>,
    invitation: Uuid,
    roles: &Roles,
) -> Result<(), Error> {
    let found = invitation::Entity::find_by_id(invitation).one(&**change).await?;
    let found = found.ok_or(Error::InvitationNotFound)?;
    joining::fulfil(service, change, &found, roles).await
}

async fn give_roles(
    service: &Organisations,
    change: &Change<'_>,
    found: &Model,
    roles: &Roles,
) -> Result<(), Error> {
    let Model { requester_id, organisation_id, .. } = *found;
    // Whoever is a member from above may have been one here, until some time ago.
    let begins =
        membership::forget_ended(&**change, requester_id, organisation_id, change.now).await?;
    let new = New {
        id: service.clock.new_id(),
        is_service_account: false,
        span: Span::default(),
        now: change.now,
    };
    membership::grant(&**change, requester_id, organisation_id, roles, new).await?;
    let key = if begins {
        "organisation.membership.created.v1"
    } else {
        "organisation.membership.updated.v1"
    };
    let event = MembershipChanged {
        organisation_id: organisation_id.to_string(),
        subject_id: requester_id.to_string(),
    };
    change.announce(key, organisation_id, &event).await?;
    let record = Record::of("membership", requester_id, organisation_id).access_request(found.id);
    change.record(record.detail(format!("roles={roles}"))).await?;
    Ok(invitation::settle_offered(change, requester_id, organisation_id).await?)
}

async fn give_access(
    change: &Change<'_>,
    found: &Model,
    application: Uuid,
    roles: &Roles,
) -> Result<(), Error> {
    let Model { requester_id, organisation_id, .. } = *found;
    let (tx, now) = (&**change, change.now);
    application_access::grant(tx, requester_id, organisation_id, application, roles, now).await?;
    let event = ApplicationAccessChanged {
        application_id: application.to_string(),
        organisation_id: organisation_id.to_string(),
        subject_id: requester_id.to_string(),
    };
    change.announce("organisation.application_access.granted.v1", application, &event).await?;
    let record = Record::of("application_access", requester_id, organisation_id);
    let details = format!("application={application}\nroles={roles}");
    change.record(record.access_request(found.id).detail(details)).await?;
    Ok(invitation::settle_offered(change, requester_id, organisation_id).await?)
}
