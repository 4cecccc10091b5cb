use api::organisation::v1::{
    ApplicationAccessChanged, GrantApplicationAccessRequest, GrantApplicationAccessResponse,
};
use kernel::{Fields, parse_id};
use sea_orm::EntityTrait as _;

use crate::{
    Organisations,
    call::Call,
    change::{Change, Record},
    domain::{
        permission::Permission,
        role::{RoleKey, Roles},
    },
    entity::{application, application_access, membership, person, role},
    error::Error,
};

/// Gives a member access to an application, or sets their roles in it anew; without roles they get
/// its default role.
///
/// Needs `applications.grant` at the organisation of the membership, where the application must be
/// one that can be used. A service account gives roles marked invitable alone (source 000). The
/// membership need not count at this moment: access counts when it does. Event:
/// `organisation.application_access.granted.v1`.
pub(crate) async fn grant_access(
    service: &Organisations,
    call: &Call,
    request: GrantApplicationAccessRequest,
) -> Result<GrantApplicationAccessResponse, Error> {
    let GrantApplicationAccessRequest {
        application_id,
        organisation_id,
        user_id,
        roles,
        request_id: _,
    } = request;
    let mut fields = Fields::default();
    let application = fields.read("application_id", parse_id(&application_id));
    let organisation = fields.read("organisation_id", parse_id(&organisation_id));
    let subject = fields.read("user_id", parse_id(&user_id));
    let keys = RoleKey::read_all(&mut fields, "roles", &roles);
    let (Some(application), Some(organisation), Some(subject), Some(keys)) =
        (application, organisation, subject, keys)
    else {
        return Err(Error::Invalid(fields));
    };

    let change = service.begin(call).await?;
    let rights = service.rights(call, &*change, organisation).await?;
    rights.require(Permission::ApplicationsGrant)?;
    let found = application::find_usable(&*change, application, organisation).await?;
    let found = found.ok_or(Error::ApplicationNotFound)?;
    let roles = given(&change, &found, &keys).await?;
    rights.require_to_grant(&roles, call.giver())?;
    if !membership::hold(&change, subject, organisation).await? {
        return Err(Error::MemberRequired);
    }
    if !application::hold(&change, application).await? {
        return Err(Error::ApplicationNotFound);
    }
    let now = change.now;
    let since =
        application_access::set(&*change, subject, organisation, application, &roles, now).await?;
    let event = ApplicationAccessChanged {
        application_id: application.to_string(),
        organisation_id: organisation.to_string(),
        subject_id: subject.to_string(),
    };
    change.announce("organisation.application_access.granted.v1", application, &event).await?;
    let record = Record::of("application_access", subject, organisation);
    let details = format!("application={application}\nroles={roles}");
    change.record(record.detail(details)).await?;
    let person = person::Entity::find_by_id(subject).one(&*change).await?;
    let key = (subject, organisation, application);
    let access = application_access::seen(key, person, roles.keys(), since);
    change.commit(GrantApplicationAccessResponse { access: Some(access) }).await
}

async fn given(
    change: &Change<'_>,
    found: &application::Model,
    keys: &[RoleKey],
) -> Result<Roles, Error> {
    if keys.is_empty() {
        return Ok(role::by_id(&**change, [found.default_role_id]).await?);
    }
    let among = role::of_application(found.id);
    role::find(&**change, among, "roles", keys).await?.map_err(Error::Invalid)
}
