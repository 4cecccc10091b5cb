use std::collections::HashMap;

use api::organisation::v1::{
    AccessChange, PreviewOrganisationMoveRequest, PreviewOrganisationMoveResponse,
};
use db::PageRequest;
use kernel::{Fields, Uuid, parse_id};
use sea_orm::{QueryOrder as _, QuerySelect as _, entity::prelude::*};

use crate::{
    Organisations,
    call::Call,
    domain::permission::Permission,
    entity::{
        membership, membership_role, organisation, person, reach,
        relocation::{self, Relocation},
        role,
    },
    error::Error,
};

/// Who would gain and who would lose access by a move: the memberships that count at organisations
/// which are above the moved one only after, or only before. Nothing is changed.
///
/// Needs what the move needs, and is refused where it would be. Of those organisations the caller
/// reads the members of, the others' members are not shown. Roles held at the platform hold before
/// and after, and do not appear.
pub(crate) async fn preview_move(
    service: &Organisations,
    call: &Call,
    request: PreviewOrganisationMoveRequest,
) -> Result<PreviewOrganisationMoveResponse, Error> {
    let PreviewOrganisationMoveRequest { id, new_parent_id, page_size, page_token } = request;
    let mut fields = Fields::default();
    let id = fields.read("id", parse_id(&id));
    let new_parent = fields.read_optional("new_parent_id", &new_parent_id, parse_id);
    let page = PageRequest::parse(&mut fields, page_size, &page_token);
    let (Some(id), Some(new_parent), Some(page)) = (id, new_parent, page) else {
        return Err(Error::Invalid(fields));
    };
    let database = service.database.read();
    let relocation = relocation::plan(service, call, database, id, new_parent).await?;
    let nodes = readable(service, call, &relocation).await?;
    let mut rows = Vec::new();
    // A query a tier, each a range of `memberships_organisation`: one for all of them would sort
    // every member of theirs for each page.
    for node in &nodes {
        let members = membership::Entity::find()
            .filter(membership::Column::OrganisationId.eq(*node))
            .filter(membership::counts(service.clock.now()));
        let members = page.apply(members, None::<membership::Column>, membership::Column::Id);
        rows.extend(members.all(database).await?);
    }
    rows.sort_by_key(|row| row.id);
    let page = page.cut(rows, |row| row.id);
    let subjects: Vec<Uuid> = page.rows.iter().map(|row| row.subject_id).collect();
    let mut roles = roles_of(service, &nodes, &subjects).await?;
    let people = people(service, &subjects).await?;
    let joined = relocation.joined();
    let changes = page.rows.into_iter().map(|row| {
        let person = people.get(&row.subject_id).cloned();
        let (email, display_name) =
            person.map(|person| (person.email, person.display_name)).unwrap_or_default();
        AccessChange {
            subject_id: row.subject_id.to_string(),
            email,
            display_name,
            organisation_id: row.organisation_id.to_string(),
            roles: roles.remove(&(row.subject_id, row.organisation_id)).unwrap_or_default(),
            gains: joined.contains(&row.organisation_id),
        }
    });
    Ok(PreviewOrganisationMoveResponse {
        changes: changes.collect(),
        next_page_token: page.next_page_token,
        etag: relocation.etag(),
        organisations: i32::try_from(relocation.nodes.len()).unwrap_or(i32::MAX),
    })
}

/// Of the organisations that matter, those whose members the caller reads.
async fn readable(
    service: &Organisations,
    call: &Call,
    relocation: &Relocation,
) -> Result<Vec<Uuid>, DbErr> {
    let nodes = relocation.left().into_iter().chain(relocation.joined());
    let (database, now) = (service.database.read(), service.clock.now());
    let reads = reach::row(database, call.subject, Permission::MembersRead, now);
    organisation::Entity::find()
        .select_only()
        .column(organisation::Column::Id)
        .filter(organisation::Column::Id.is_in(nodes))
        .filter(reads)
        .into_tuple()
        .all(database)
        .await
}

async fn roles_of(
    service: &Organisations,
    nodes: &[Uuid],
    subjects: &[Uuid],
) -> Result<HashMap<(Uuid, Uuid), Vec<String>>, DbErr> {
    use membership_role::Column as Held;
    let rows = membership_role::Entity::find()
        .find_also_related(role::Entity)
        .filter(Held::SubjectId.is_in(subjects.iter().copied()))
        .filter(Held::OrganisationId.is_in(nodes.iter().copied()))
        .order_by_asc(role::Column::Key)
        .all(service.database.read())
        .await?;
    let mut roles = HashMap::<_, Vec<String>>::new();
    for (held, role) in rows {
        let of = roles.entry((held.subject_id, held.organisation_id)).or_default();
        of.extend(role.map(|role| role.key));
    }
    Ok(roles)
}

async fn people(
    service: &Organisations,
    subjects: &[Uuid],
) -> Result<HashMap<Uuid, person::Model>, DbErr> {
    let rows = person::Entity::find()
        .filter(person::Column::UserId.is_in(subjects.iter().copied()))
        .all(service.database.read())
        .await?;
    Ok(rows.into_iter().map(|row| (row.user_id, row)).collect())
}
