use std::collections::HashSet;

use api::organisation::v1::{ListOrganisationsRequest, ListOrganisationsResponse};
use db::PageRequest;
use kernel::{Fields, Malformed, Time, Uuid, parse_id, words};
use sea_orm::{
    ConnectionTrait, ExprTrait as _, JoinType, QuerySelect as _, QueryTrait as _,
    entity::prelude::*,
};

use crate::{
    Organisations,
    call::Call,
    domain::permission::Permission,
    entity::{
        ancestor, membership,
        organisation::{self, Column, PLATFORM},
        organisation_word, reach,
    },
    error::Error,
};

/// Which organisations are listed, of those that the caller sees.
#[derive(Clone, Copy)]
enum Which {
    /// Those below a node that the caller reads: in one tier, or in all.
    Children(Uuid),
    Subtree(Uuid),
    /// Those that the caller is a member of.
    Own,
    /// All that the caller sees.
    Seen,
}

/// The children of a node or its whole subtree. Without a node: the organisations that the caller is
/// a member of, or all that they see; for whom reads the platform all roots, or all there are. With
/// a query, only those whose name has a word that begins so, for each word of the query.
///
/// Needs `organisations.read` at the node that is named. Only memberships that count show anything.
/// What is archived is shown only to whom asks for it and could restore it.
pub(crate) async fn list(
    service: &Organisations,
    call: &Call,
    request: ListOrganisationsRequest,
) -> Result<ListOrganisationsResponse, Error> {
    let ListOrganisationsRequest {
        parent_id,
        page_size,
        page_token,
        recursive,
        query,
        order_by,
        show_archived,
    } = request;
    let mut fields = Fields::default();
    let parent = fields.read_optional("parent_id", &parent_id, parse_id);
    let keys = &["display_name"];
    let page = PageRequest::parse_ordered(&mut fields, page_size, &page_token, &order_by, keys);
    let query = fields.read("query", read_query(&query));
    let (Some(parent), Some(page), Some(query)) = (parent, page, query) else {
        return Err(Error::Invalid(fields));
    };
    if parent == Some(PLATFORM) {
        return Err(Error::OrganisationNotFound);
    }
    let (database, now) = (service.database.read(), service.clock.now());
    let top = parent.unwrap_or(PLATFORM);
    let rights = service.rights(call, database, top).await?;
    if parent.is_some() {
        rights.require(Permission::OrganisationsRead)?;
    }
    let reads_top = rights.allow(Permission::OrganisationsRead);
    let which = match (reads_top, recursive) {
        (true, false) => Which::Children(top),
        (true, true) => Which::Subtree(top),
        (false, false) => Which::Own,
        (false, true) => Which::Seen,
    };
    let mut rows = select(database, which, call.subject, now, &page);
    if !show_archived {
        rows = rows.filter(Column::ArchivedBy.is_null());
    } else if !rights.allow(Permission::OrganisationsArchive) {
        let may = reach::row(database, call.subject, Permission::OrganisationsArchive, now);
        rows = rows.filter(Column::ArchivedBy.is_null().or(may));
    }
    for word in query {
        rows = rows.filter(Column::Id.in_subquery(named(word).into_query()));
    }
    let rows = rows.all(database).await?;
    let page = page.cut_ordered(rows, |row| (row.search_name.clone(), row.id));
    let parents = if reads_top {
        page.rows.iter().filter_map(|row| row.parent_id).collect()
    } else {
        parents_seen(service, call, &page.rows).await?
    };
    let seen = |row: organisation::Model| {
        let shows_parent = row.parent_id.is_some_and(|parent| parents.contains(&parent));
        row.seen(shows_parent)
    };
    Ok(ListOrganisationsResponse {
        organisations: page.rows.into_iter().map(seen).collect(),
        next_page_token: page.next_page_token,
    })
}

fn read_query(text: &str) -> Result<Vec<String>, Malformed> {
    if text.chars().count() > 200 {
        return Err(Malformed("at most 200 characters"));
    }
    Ok(words(text))
}

/// The rows of a page, from its place on, in its order.
///
/// | | in order of creation | by name |
/// |---|---|---|
/// | children | `organisations_parent` | `organisations_name` |
/// | subtree | `organisation_ancestors_ancestor` | `organisations_by_name`, or a sort of a small subtree |
/// | all, from the platform | the primary key | `organisations_by_name` |
/// | own | the primary key of `memberships` | a sort of what the caller is a member of |
/// | seen | `organisation_ancestors_ancestor`, and a sort of what the caller sees | the same |
///
/// With a query the planner may begin at `organisation_words` instead, and sort what it finds.
fn select(
    connection: &impl ConnectionTrait,
    which: Which,
    subject: Uuid,
    now: Time,
    page: &PageRequest,
) -> Select<organisation::Entity> {
    let by_name = page.key().map(|_| Column::SearchName);
    let all = organisation::Entity::find();
    let reads = Permission::OrganisationsRead;
    let rows = match which {
        Which::Children(parent) => all.filter(Column::ParentId.eq(parent)),
        Which::Subtree(PLATFORM) => all.filter(Column::Id.ne(PLATFORM)),
        Which::Subtree(top) => {
            let to_top = organisation::Entity::belongs_to(ancestor::Entity)
                .from(Column::Id)
                .to(ancestor::Column::OrganisationId);
            let below = all
                .join(JoinType::InnerJoin, to_top.into())
                .filter(ancestor::Column::AncestorId.eq(top))
                .filter(Column::Id.ne(top));
            if by_name.is_none() {
                // The index that has the order is that of the closure.
                return page.apply(below, by_name, ancestor::Column::OrganisationId);
            }
            below
        }
        Which::Own => {
            let to_theirs = organisation::Entity::belongs_to(membership::Entity)
                .from(Column::Id)
                .to(membership::Column::OrganisationId);
            let theirs = all
                .join(JoinType::InnerJoin, to_theirs.into())
                .filter(membership::Column::SubjectId.eq(subject))
                .filter(membership::Column::OrganisationId.ne(PLATFORM))
                .filter(membership::counts(now))
                .filter(reach::row(connection, subject, reads, now));
            if by_name.is_none() {
                // The index that has the order is the primary key of memberships.
                return page.apply(theirs, by_name, membership::Column::OrganisationId);
            }
            theirs
        }
        Which::Seen => all
            .filter(Column::Id.ne(PLATFORM))
            .filter(Column::Id.in_subquery(reach::of_all(connection, subject, reads, now))),
    };
    page.apply(rows, by_name, Column::Id)
}

/// The organisations with a word in their name that begins so.
fn named(beginning: String) -> Select<organisation_word::Entity> {
    let from = beginning.into_bytes();
    // No UTF-8 has this byte: it comes after whatever the word goes on with.
    let to = [from.as_slice(), &[0xff]].concat();
    organisation_word::Entity::find()
        .select_only()
        .column(organisation_word::Column::OrganisationId)
        .filter(organisation_word::Column::Word.gte(from))
        .filter(organisation_word::Column::Word.lt(to))
}

/// Of the parents of some organisations, those that the caller sees.
async fn parents_seen(
    service: &Organisations,
    call: &Call,
    rows: &[organisation::Model],
) -> Result<HashSet<Uuid>, DbErr> {
    let (database, now) = (service.database.read(), service.clock.now());
    let reads = reach::row(database, call.subject, Permission::OrganisationsRead, now);
    let parents = organisation::Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::Id.is_in(rows.iter().filter_map(|row| row.parent_id)))
        .filter(reads)
        .into_tuple()
        .all(database)
        .await?;
    Ok(parents.into_iter().collect())
}
