use std::collections::HashMap;

use api::organisation::v1::{ListMembershipsRequest, ListMembershipsResponse};
use db::PageRequest;
use kernel::{Fields, Uuid, parse_id};
use sea_orm::{QueryOrder as _, QuerySelect as _, entity::prelude::*};

use crate::{
    Organisations,
    call::Call,
    domain::permission::Permission,
    entity::{membership, membership_role, organisation::PLATFORM, person, role},
    error::Error,
};

/// The members of one organisation, in order of joining. Needs `members.read` there.
pub(crate) async fn list(
    service: &Organisations,
    call: &Call,
    request: ListMembershipsRequest,
) -> Result<ListMembershipsResponse, Error> {
    let ListMembershipsRequest { organisation_id, page_size, page_token, .. } = request;
    let mut fields = Fields::default();
    let id = fields.read("organisation_id", parse_id(&organisation_id));
    let page = PageRequest::parse(&mut fields, page_size, &page_token);
    let (Some(id), Some(page)) = (id, page) else {
        return Err(Error::Invalid(fields));
    };
    let database = service.database.read();
    let rights = service.rights(call, database, id).await?;
    rights.require(Permission::MembersRead)?;
    if id == PLATFORM {
        return Err(Error::OrganisationNotFound);
    }
    let mut rows = membership::Entity::find()
        .filter(membership::Column::OrganisationId.eq(id))
        .order_by_asc(membership::Column::Id)
        .limit(page.limit());
    if let Some(after) = page.after {
        rows = rows.filter(membership::Column::Id.gt(after));
    }
    let page = page.cut(rows.all(database).await?, |row| row.id);
    let subjects: Vec<Uuid> = page.rows.iter().map(|row| row.subject_id).collect();
    let mut roles = roles_of(service, id, &subjects).await?;
    let mut people = people(service, &subjects).await?;
    let now = service.clock.now();
    let memberships = page.rows.into_iter().map(|row| {
        let (roles, person) = (roles.remove(&row.subject_id), people.remove(&row.subject_id));
        row.seen(roles.unwrap_or_default(), person, now)
    });
    Ok(ListMembershipsResponse {
        memberships: memberships.collect(),
        next_page_token: page.next_page_token,
    })
}

async fn roles_of(
    service: &Organisations,
    organisation: Uuid,
    subjects: &[Uuid],
) -> Result<HashMap<Uuid, Vec<String>>, Error> {
    let rows = membership_role::Entity::find()
        .find_also_related(role::Entity)
        .filter(membership_role::Column::OrganisationId.eq(organisation))
        .filter(membership_role::Column::SubjectId.is_in(subjects.iter().copied()))
        .order_by_asc(role::Column::Key)
        .all(service.database.read())
        .await?;
    let mut roles = HashMap::<Uuid, Vec<String>>::new();
    for (row, role) in rows {
        roles.entry(row.subject_id).or_default().extend(role.map(|role| role.key));
    }
    Ok(roles)
}

async fn people(
    service: &Organisations,
    subjects: &[Uuid],
) -> Result<HashMap<Uuid, person::Model>, Error> {
    let rows = person::Entity::find()
        .filter(person::Column::UserId.is_in(subjects.iter().copied()))
        .all(service.database.read())
        .await?;
    Ok(rows.into_iter().map(|row| (row.user_id, row)).collect())
}
