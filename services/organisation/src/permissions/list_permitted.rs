use std::collections::HashSet;

use api::organisation::v1::{
    ListPermittedOrganisationsRequest, ListPermittedOrganisationsResponse,
};
use db::{DbErr, PageRequest};
use kernel::{Fields, Time, Uuid, parse_id};
use sea_orm::{
    Condition, ConnectionTrait, ExprTrait as _, FromQueryResult, JoinType, QuerySelect as _,
    entity::prelude::*,
    sea_query::{Alias, Expr, Query},
};

use crate::{
    Organisations,
    call::Call,
    domain::{permission::Permission, rights::WHEN_ARCHIVED},
    entity::{
        ancestor::{self, Column},
        membership, membership_role,
        organisation::{self, PLATFORM},
        role,
    },
    error::Error,
};

/// The organisations at which a subject holds a permission now, in order of creation: those at which
/// a check would answer yes, and no others.
///
/// Everybody may ask about themselves; about others a service account with the scope
/// `permissions.check`. Three queries: the subject's roles, the ancestry of the nodes where they
/// were given, and the page. Nodes below another are left out first, so that no organisation comes
/// twice. Below one node, which is what those have who see very many, a page is a range of
/// `organisation_ancestors_ancestor` in its order; below several, all that lies below them beyond
/// the page before is sorted.
pub(crate) async fn list_permitted(
    service: &Organisations,
    call: &Call,
    request: ListPermittedOrganisationsRequest,
) -> Result<ListPermittedOrganisationsResponse, Error> {
    let ListPermittedOrganisationsRequest { subject_id, permission, page_size, page_token } =
        request;
    let mut fields = Fields::default();
    let subject = fields.read_optional("subject_id", &subject_id, parse_id);
    let permission = fields.read("permission", Permission::parse(&permission));
    let page = PageRequest::parse_large(&mut fields, page_size, &page_token);
    let (Some(subject), Some(permission), Some(page)) = (subject, permission, page) else {
        return Err(Error::Invalid(fields));
    };
    let subject = subject.unwrap_or(call.subject);
    if subject != call.subject && !call.has_scope("permissions.check") {
        return Err(Error::ScopeMissing("permissions.check"));
    }
    let (database, now) = (service.database.read(), service.clock.now());
    let given = given(database, subject, now).await?;
    let above = ancestry(database, given.iter().map(|given| given.organisation_id)).await?;
    let nodes = highest(&given, &above, permission);
    if nodes.is_empty() {
        return Ok(ListPermittedOrganisationsResponse::default());
    }
    let archivers = match WHEN_ARCHIVED.contains(permission) {
        true => highest(&given, &above, Permission::OrganisationsArchive),
        false => Vec::new(),
    };
    let open = open(&nodes, archivers, &above);
    let mut rows = below(nodes).filter(open);
    if let Some(after) = page.after {
        // Both sides of the join are entered at the page's place.
        rows = rows.filter(organisation::Column::Id.gt(after));
    }
    let rows = page.apply(rows, None::<Column>, Column::OrganisationId);
    let ids = rows.into_tuple::<Uuid>().all(database).await?;
    let page = page.cut(ids, |id| *id);
    Ok(ListPermittedOrganisationsResponse {
        organisation_ids: page.rows.iter().map(Uuid::to_string).collect(),
        next_page_token: page.next_page_token,
    })
}

/// A role that counts now, and where it was given.
#[derive(FromQueryResult)]
struct Given {
    organisation_id: Uuid,
    role_id: Uuid,
    permissions: i64,
}

async fn given(
    connection: &impl ConnectionTrait,
    subject: Uuid,
    now: Time,
) -> Result<Vec<Given>, DbErr> {
    let held = membership_role::Entity::find()
        .select_only()
        .column(membership_role::Column::OrganisationId)
        .column(membership_role::Column::RoleId)
        .column(role::Column::Permissions)
        .join(JoinType::InnerJoin, membership_role::Relation::Role.def())
        .filter(membership_role::Column::SubjectId.eq(subject))
        .filter(membership::counts(now));
    membership::with_membership(connection, held).into_model().all(connection).await
}

/// Which node lies below which, for these nodes and all above them.
async fn ancestry(
    connection: &impl ConnectionTrait,
    nodes: impl Iterator<Item = Uuid>,
) -> Result<Vec<ancestor::Model>, DbErr> {
    let nodes: HashSet<_> = nodes.collect();
    let above = ancestor::Entity::find().filter(Column::OrganisationId.is_in(nodes));
    above.filter(Column::Distance.gt(0)).all(connection).await
}

/// The nodes at which a role with this permission was given, without those below another of them.
fn highest(given: &[Given], above: &[ancestor::Model], permission: Permission) -> Vec<Uuid> {
    let has = |given: &&Given| {
        role::permissions_of(given.role_id, given.permissions).contains(permission)
    };
    let mut nodes: HashSet<_> =
        given.iter().filter(has).map(|given| given.organisation_id).collect();
    let lower: Vec<_> = above
        .iter()
        .filter(|row| nodes.contains(&row.ancestor_id))
        .map(|row| row.organisation_id)
        .collect();
    lower.iter().for_each(|node| {
        nodes.remove(node);
    });
    nodes.into_iter().collect()
}

/// Which of the organisations below these nodes are open: those archived only to whoever may archive
/// there. A subquery asks for that only where it differs from one to the next, as a planner takes it
/// for dear.
fn open(nodes: &[Uuid], archivers: Vec<Uuid>, above: &[ancestor::Model]) -> Condition {
    let can: HashSet<_> = archivers.iter().collect();
    let below = above.iter().filter(|row| can.contains(&row.ancestor_id));
    let below: HashSet<_> = below.map(|row| row.organisation_id).collect();
    if nodes.iter().all(|node| can.contains(node) || below.contains(node)) {
        return Condition::all();
    }
    let open = Condition::any().add(organisation::Column::ArchivedBy.is_null());
    if archivers.is_empty() { open } else { open.add(is_below(archivers)) }
}

/// The organisations at or below these nodes; the platform is none.
fn below(nodes: Vec<Uuid>) -> Select<ancestor::Entity> {
    let to_organisation = ancestor::Entity::belongs_to(organisation::Entity)
        .from(Column::OrganisationId)
        .to(organisation::Column::Id);
    ancestor::Entity::find()
        .select_only()
        .column(Column::OrganisationId)
        .join(JoinType::InnerJoin, to_organisation.into())
        .filter(Column::AncestorId.is_in(nodes))
        .filter(Column::OrganisationId.ne(PLATFORM))
}

/// Whether an organisation lies at or below one of these nodes, too.
fn is_below(nodes: Vec<Uuid>) -> Expr {
    let above = Alias::new("above");
    let place = Expr::col((above.clone(), Column::OrganisationId));
    let found = Query::select()
        .expr(Expr::value(1))
        .from_as(ancestor::Entity, above.clone())
        .and_where(place.equals((ancestor::Entity, Column::OrganisationId)))
        .and_where(Expr::col((above, Column::AncestorId)).is_in(nodes))
        .to_owned();
    Expr::exists(found)
}
