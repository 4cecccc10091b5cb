use std::collections::HashMap;

use api::organisation::v1::{ListApplicationAccessRequest, ListApplicationAccessResponse};
use db::PageRequest;
use kernel::{Fields, Time, Uuid, parse_id};
use sea_orm::{QuerySelect as _, QueryTrait as _, entity::prelude::*};

use crate::{
    Organisations,
    call::Call,
    domain::permission::Permission,
    entity::{
        application,
        application_access::{self, Column as Access},
        membership::{self, Column as Membership},
        organisation::PLATFORM,
        person, role,
    },
    error::Error,
};

/// Who has access to an application as a member of an organisation, in order of joining that.
///
/// Needs `members.read` at the organisation, which must be one that can use the application.
pub(crate) async fn list_access(
    service: &Organisations,
    call: &Call,
    request: ListApplicationAccessRequest,
) -> Result<ListApplicationAccessResponse, Error> {
    let ListApplicationAccessRequest { application_id, organisation_id, page_size, page_token } =
        request;
    let mut fields = Fields::default();
    let application = fields.read("application_id", parse_id(&application_id));
    let organisation = fields.read("organisation_id", parse_id(&organisation_id));
    let page = PageRequest::parse(&mut fields, page_size, &page_token);
    let (Some(application), Some(organisation), Some(page)) = (application, organisation, page)
    else {
        return Err(Error::Invalid(fields));
    };
    let database = service.database.read();
    let rights = service.rights(call, database, organisation).await?;
    rights.require(Permission::MembersRead)?;
    if organisation == PLATFORM {
        return Err(Error::OrganisationNotFound);
    }
    let usable = application::find_usable(database, application, organisation).await?;
    usable.ok_or(Error::ApplicationNotFound)?;
    let with_access = application_access::Entity::find()
        .select_only()
        .column(Access::SubjectId)
        .filter(Access::ApplicationId.eq(application))
        .filter(Access::OrganisationId.eq(organisation))
        .into_query();
    let rows = membership::Entity::find()
        .filter(Membership::OrganisationId.eq(organisation))
        .filter(Membership::SubjectId.in_subquery(with_access));
    let rows = page.apply(rows, None::<Membership>, Membership::Id).all(database).await?;
    let page = page.cut(rows, |row| row.id);
    let subjects: Vec<Uuid> = page.rows.iter().map(|row| row.subject_id).collect();
    let mut held = held(service, application, organisation, &subjects).await?;
    let mut people = person::of(database, &subjects).await?;
    let access = subjects.into_iter().filter_map(|subject| {
        let (roles, since) = held.remove(&subject)?;
        let key = (subject, organisation, application);
        Some(application_access::seen(key, people.remove(&subject), roles, since))
    });
    Ok(ListApplicationAccessResponse {
        access: access.collect(),
        next_page_token: page.next_page_token,
    })
}

/// The sorted keys of the roles that each has, and since when.
async fn held(
    service: &Organisations,
    application: Uuid,
    organisation: Uuid,
    subjects: &[Uuid],
) -> Result<HashMap<Uuid, (Vec<String>, Time)>, Error> {
    let rows = application_access::Entity::find()
        .find_also_related(role::Entity)
        .filter(Access::ApplicationId.eq(application))
        .filter(Access::OrganisationId.eq(organisation))
        .filter(Access::SubjectId.is_in(subjects.iter().copied()))
        .all(service.database.read())
        .await?;
    let mut held = HashMap::<Uuid, (Vec<String>, Time)>::new();
    for (row, role) in rows {
        let (roles, since) = held.entry(row.subject_id).or_insert((Vec::new(), row.created_at));
        roles.extend(role.map(|role| role.key));
        *since = row.created_at.min(*since);
    }
    held.values_mut().for_each(|(roles, _)| roles.sort());
    Ok(held)
}
