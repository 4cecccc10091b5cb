use std::collections::HashMap;

use api::organisation::v1::{ListApplicationsRequest, ListApplicationsResponse};
use db::PageRequest;
use kernel::{Fields, Uuid, parse_id};

use crate::{
    Organisations,
    call::Call,
    domain::permission::Permission,
    entity::{
        application::{self, Column},
        organisation::PLATFORM,
        role,
    },
    error::Error,
};

/// The applications that an organisation can use, its own and those of organisations above it, in
/// order of creation. Needs `organisations.read` there.
pub(crate) async fn list(
    service: &Organisations,
    call: &Call,
    request: ListApplicationsRequest,
) -> Result<ListApplicationsResponse, Error> {
    let ListApplicationsRequest { organisation_id, page_size, page_token } = request;
    let mut fields = Fields::default();
    let id = fields.read("organisation_id", parse_id(&organisation_id));
    let page = PageRequest::parse(&mut fields, page_size, &page_token);
    let (Some(id), Some(page)) = (id, page) else {
        return Err(Error::Invalid(fields));
    };
    let database = service.database.read();
    let rights = service.rights(call, database, id).await?;
    rights.require(Permission::OrganisationsRead)?;
    if id == PLATFORM {
        return Err(Error::OrganisationNotFound);
    }
    let rows = page.apply(application::usable_at(id), None::<Column>, Column::Id);
    let page = page.cut(rows.all(database).await?, |row| row.id);
    let defaults = role::by_id(database, page.rows.iter().map(|row| row.default_role_id)).await?;
    let keys: HashMap<Uuid, &str> =
        defaults.iter().map(|role| (role.id, role.key.as_str())).collect();
    let seen = page.rows.into_iter().map(|row| {
        let key = keys.get(&row.default_role_id).copied().unwrap_or_default().to_owned();
        row.seen(key)
    });
    Ok(ListApplicationsResponse {
        applications: seen.collect(),
        next_page_token: page.next_page_token,
    })
}
