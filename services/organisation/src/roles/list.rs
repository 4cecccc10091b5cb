use api::organisation::v1::{ListRolesRequest, ListRolesResponse, Role};
use db::PageRequest;
use kernel::{Fields, Malformed, Uuid, parse_id};
use sea_orm::entity::prelude::*;

use crate::{
    Organisations,
    call::Call,
    domain::permission::Permission,
    entity::{
        ancestor, application,
        organisation::PLATFORM,
        role::{self, Column},
    },
    error::Error,
};

/// The roles that an organisation can give (the built-in ones and those of its root), or those of
/// an application, in order of creation. Each page is read from `roles_owner`.
///
/// Needs `organisations.read` at the organisation; for an application at its organisation or
/// somewhere below.
pub(crate) async fn list(
    service: &Organisations,
    call: &Call,
    request: ListRolesRequest,
) -> Result<ListRolesResponse, Error> {
    let ListRolesRequest { organisation_id, application_id, page_size, page_token } = request;
    let mut fields = Fields::default();
    let organisation = fields.read_optional("organisation_id", &organisation_id, parse_id);
    let application = fields.read_optional("application_id", &application_id, parse_id);
    let page = PageRequest::parse(&mut fields, page_size, &page_token);
    if organisation_id.is_empty() == application_id.is_empty() {
        fields.reject("organisation_id", Malformed("either this or application_id"));
    }
    let (Some(organisation), Some(application), Some(page), true) =
        (organisation, application, page, fields.violations().is_empty())
    else {
        return Err(Error::Invalid(fields));
    };
    let database = service.database.read();
    let (roles, shows_root) = match (organisation, application) {
        (Some(organisation), _) => {
            (role::given_at(organisation), require_organisation(service, call, organisation).await?)
        }
        (None, application) => {
            let application = application.ok_or(Error::ApplicationNotFound)?;
            require_application(service, call, application).await?;
            (role::of_application(application), true)
        }
    };
    let roles = page.apply(roles, None::<Column>, Column::Id);
    let page = page.cut(roles.all(database).await?, |row| row.id);
    let seen = |row: role::Model| match (shows_root, row.seen()) {
        (true, seen) => seen,
        (false, seen) => Role { organisation_id: String::new(), ..seen },
    };
    Ok(ListRolesResponse {
        roles: page.rows.into_iter().map(seen).collect(),
        next_page_token: page.next_page_token,
    })
}

/// Answers whether the caller sees the organisation's root, too.
async fn require_organisation(
    service: &Organisations,
    call: &Call,
    id: Uuid,
) -> Result<bool, Error> {
    if id == PLATFORM {
        return Err(Error::OrganisationNotFound);
    }
    let database = service.database.read();
    let rights = service.rights(call, database, id).await?;
    rights.require(Permission::OrganisationsRead)?;
    let to_root = ancestor::Entity::find_by_id((id, PLATFORM)).one(database).await?;
    let tiers_to_root = to_root.map_or(0, |row| row.distance - 1);
    Ok(rights.allow_from(tiers_to_root, Permission::OrganisationsRead))
}

async fn require_application(service: &Organisations, call: &Call, id: Uuid) -> Result<(), Error> {
    let (database, now) = (service.database.read(), service.clock.now());
    let seen = application::seen_by(database, id, call, now).await?;
    seen.map(|_| ()).ok_or(Error::ApplicationNotFound)
}
