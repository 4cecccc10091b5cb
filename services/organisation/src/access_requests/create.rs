use api::organisation::v1::{CreateAccessRequestRequest, CreateAccessRequestResponse};
use kernel::{Fields, Malformed, Uuid, parse_id};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};

use crate::{
    Organisations,
    call::Call,
    change::Change,
    domain::{
        access_request::{Reason, Target, Times},
        permission::Permission,
        rights::{Denied, Rights},
        role::{Role, RoleKey, Roles},
    },
    entity::{
        access_request::{self, New},
        application, application_access, membership,
        organisation::PLATFORM,
        person, role,
    },
    error::Error,
};

/// Asks for a role at an organisation, or for an application with one of its roles or its default
/// role.
///
/// A person, not a service account, whose membership counts at this moment: at the organisation or
/// above it, as rights come down; for an application at exactly the organisation, as access hangs on
/// the membership. Nobody asks for what they have, nor twice at a time. Event:
/// `organisation.access_request.created.v1`; mails to the requester and to those who can decide.
pub(crate) async fn create(
    service: &Organisations,
    call: &Call,
    request: CreateAccessRequestRequest,
) -> Result<CreateAccessRequestResponse, Error> {
    let CreateAccessRequestRequest { organisation_id, role, application_id, reason, request_id: _ } =
        request;
    let mut fields = Fields::default();
    let organisation = fields.read("organisation_id", parse_id(&organisation_id));
    let key = fields.read_optional("role", &role, RoleKey::parse);
    let application = fields.read_optional("application_id", &application_id, parse_id);
    let reason = fields.read("reason", Reason::parse(&reason));
    if role.is_empty() && application_id.is_empty() {
        fields.reject("role", Malformed("a role, or an application"));
    }
    let (Some(organisation), Some(key), Some(application), Some(reason)) =
        (organisation, key, application, reason)
    else {
        return Err(Error::Invalid(fields));
    };

    let change = service.begin(call).await?;
    let rights = require_member(&change, call, organisation).await?;
    let (role, target) = match (application, key) {
        (Some(application), key) => {
            let is_below = rights.held.iter().all(|held| held.distance > 0);
            let role = of_application(&change, call, organisation, application, key).await?;
            if is_below {
                return Err(Error::MemberRequired);
            }
            (role, Target::Application(application))
        }
        (None, Some(key)) => {
            (of_organisation(&change, &rights, organisation, &key).await?, Target::Role(key))
        }
        (None, None) => return Err(Error::Invalid(fields)),
    };
    let new = New {
        id: service.clock.new_id(),
        organisation_id: organisation,
        requester_id: call.subject,
        roles: Roles::from_iter([role]),
        target,
        reason,
        times: Times::from(change.now, service.patience),
    };
    // The mails name the requester.
    person::remember_caller(&*change, call).await?;
    let opened = access_request::open(&change, new).await?;
    let opened = opened.map_err(|id| Error::AccessRequestPending { id })?;
    let requester = person::Entity::find_by_id(call.subject).one(&*change).await?;
    let seen = opened.seen_at(requester, change.now);
    change.commit(CreateAccessRequestResponse { access_request: Some(seen) }).await
}

/// The caller's rights, held until the end of the transaction: leaving comes before or after.
async fn require_member(
    change: &Change<'_>,
    call: &Call,
    organisation: Uuid,
) -> Result<Rights, Error> {
    call.note(organisation);
    let rights = membership::rights_held(change, call.subject, organisation, change.now).await?;
    rights.require(Permission::OrganisationsRead)?;
    if organisation == PLATFORM {
        return Err(Error::OrganisationNotFound);
    }
    if rights.archived {
        return Err(Denied::Archived.into());
    }
    if call.is_person() { Ok(rights) } else { Err(Error::MemberRequired) }
}

/// The role of the organisation, unless it is held there or above.
async fn of_organisation(
    change: &Change<'_>,
    rights: &Rights,
    organisation: Uuid,
    key: &RoleKey,
) -> Result<Role, Error> {
    let role = role::find_one(&**change, role::given_at(organisation), key).await?;
    let role = role.ok_or_else(|| unknown_role("a role that can be given here"))?;
    let is_held = rights.held.iter().any(|held| held.role == role.id);
    if is_held { Err(Error::AlreadyGranted) } else { Ok(role) }
}

/// The application's role, or its default role, unless the caller has it as a member of the
/// organisation.
async fn of_application(
    change: &Change<'_>,
    call: &Call,
    organisation: Uuid,
    application: Uuid,
    key: Option<RoleKey>,
) -> Result<Role, Error> {
    let found = application::find_usable(&**change, application, organisation).await?;
    let found = found.ok_or(Error::ApplicationNotFound)?;
    // Held, so that its removal finds the request.
    if !application::hold(change, application).await? {
        return Err(Error::ApplicationNotFound);
    }
    let role = match &key {
        Some(key) => role::find_one(&**change, role::of_application(application), key).await?,
        None => {
            let default = role::Entity::find_by_id(found.default_role_id).one(&**change).await?;
            default.map(|row| row.role())
        }
    };
    let role = role.ok_or_else(|| unknown_role("a role of the application"))?;
    let held = application_access::of(call.subject, organisation, application)
        .filter(application_access::Column::RoleId.eq(role.id));
    if held.one(&**change).await?.is_some() { Err(Error::AlreadyGranted) } else { Ok(role) }
}

fn unknown_role(expected: &'static str) -> Error {
    let mut fields = Fields::default();
    fields.reject("role", Malformed(expected));
    Error::Invalid(fields)
}
