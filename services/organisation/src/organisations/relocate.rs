use api::organisation::v1::{
    ApplicationAccessChanged, MoveOrganisationRequest, MoveOrganisationResponse,
    OrganisationChanged, RoleChanged,
};
use kernel::{Fields, Uuid, parse_id};
use sea_orm::{
    ExprTrait as _, QuerySelect as _, QueryTrait as _, entity::prelude::*, sea_query::Expr,
};

use crate::{
    Organisations,
    call::Call,
    change::{Change, Record},
    entity::{
        access_request::{self, Decision},
        ancestor, application, application_access,
        organisation::{self, Column, PLATFORM},
        relocation::{self, Relocation},
        role,
    },
    error::Error,
};

/// Moves an organisation with all below it under another parent; without one it becomes a root.
///
/// Needs `organisations.move` at its parent and at the new one (for a root at the platform), and the
/// etag of a preview: if the tree changed since, the move is refused. Refused is also what
/// [`relocation::plan`] says. Memberships stay what they are; who is above changes with the tree.
/// Access that members in it have to applications of organisations which are no longer above it is
/// withdrawn, and so are their pending requests for such access. A root that becomes a
/// sub-organisation loses its custom roles, which nobody uses then. Events:
/// `organisation.organisation.moved.v1`, `organisation.application_access.withdrawn.v1` for each
/// access, `organisation.access_request.withdrawn.v1` for each request,
/// `organisation.role.deleted.v1` for each role.
pub(crate) async fn relocate(
    service: &Organisations,
    call: &Call,
    request: MoveOrganisationRequest,
) -> Result<MoveOrganisationResponse, Error> {
    let MoveOrganisationRequest { id, new_parent_id, etag, request_id: _ } = request;
    let mut fields = Fields::default();
    let id = fields.read("id", parse_id(&id));
    let new_parent = fields.read_optional("new_parent_id", &new_parent_id, parse_id);
    let (Some(id), Some(new_parent)) = (id, new_parent) else {
        return Err(Error::Invalid(fields));
    };

    let change = service.begin(call).await?;
    organisation::hold_tree(&change, true).await?;
    // Whether it is a root decides whether its owners may leave.
    organisation::hold(&change, id).await?;
    let relocation = relocation::plan(service, call, &*change, id, new_parent).await?;
    // Without an etag nobody has seen what the move would do.
    if etag != relocation.etag() {
        return Err(Error::EtagMismatch);
    }
    let withdrawn = withdraw_access(&change, &relocation).await?;
    rewrite_tree(&change, &relocation).await?;
    delete_roles(&change, &relocation).await?;
    let event = OrganisationChanged { organisation_id: id.to_string() };
    change.announce("organisation.organisation.moved.v1", id, &event).await?;
    let record = Record::of("organisation", id, id)
        .detail(format!("from={}", relocation.moved.parent_id.unwrap_or(PLATFORM)))
        .detail(format!("to={}", relocation.to()))
        .detail(format!("organisations={}", relocation.nodes.len()))
        .detail(format!("application_access_withdrawn={withdrawn}"));
    change.record(record).await?;
    let moved = organisation::Entity::find_by_id(id).one(&*change).await?;
    let moved = moved.ok_or(Error::OrganisationNotFound)?;
    let rights = service.rights(call, &*change, id).await?;
    let seen = moved.seen_with(&rights);
    change.commit(MoveOrganisationResponse { organisation: Some(seen) }).await
}

async fn rewrite_tree(change: &Change<'_>, relocation: &Relocation) -> Result<(), DbErr> {
    let id = relocation.moved.id;
    ancestor::relocate(&**change, id, relocation.to()).await?;
    organisation::Entity::update_many()
        .col_expr(Column::Depth, Expr::col(Column::Depth).add(relocation.sinks_by()))
        .filter(Column::Id.in_subquery(ancestor::subtree(id)))
        .exec(&**change)
        .await?;
    organisation::Entity::update_many()
        .col_expr(Column::ParentId, Expr::value(relocation.to()))
        .col_expr(Column::UpdatedAt, Expr::value(change.now))
        .col_expr(Column::Version, Expr::col(Column::Version).add(1))
        .filter(Column::Id.eq(id))
        .exec(&**change)
        .await
        .map(|_| ())
}

/// Withdraws access to the applications that are left behind, and what is asked for of them; answers
/// how many had access.
async fn withdraw_access(change: &Change<'_>, relocation: &Relocation) -> Result<usize, DbErr> {
    use access_request::Column as Asked;
    use application_access::Column as Access;
    let applications = application::Entity::find()
        .select_only()
        .column(application::Column::Id)
        .filter(application::Column::OrganisationId.is_in(relocation.left()))
        .into_query();
    let inside = || ancestor::subtree(relocation.moved.id);
    let lost = application_access::Entity::find()
        .select_only()
        .columns([Access::ApplicationId, Access::OrganisationId, Access::SubjectId])
        .filter(Access::ApplicationId.in_subquery(applications.clone()))
        .filter(Access::OrganisationId.in_subquery(inside()))
        .distinct()
        .into_tuple::<(Uuid, Uuid, Uuid)>()
        .all(&**change)
        .await?;
    application_access::Entity::delete_many()
        .filter(Access::ApplicationId.in_subquery(applications.clone()))
        .filter(Access::OrganisationId.in_subquery(inside()))
        .exec(&**change)
        .await?;
    for (application, organisation, subject) in &lost {
        let event = ApplicationAccessChanged {
            application_id: application.to_string(),
            organisation_id: organisation.to_string(),
            subject_id: subject.to_string(),
        };
        let key = "organisation.application_access.withdrawn.v1";
        change.announce(key, *application, &event).await?;
    }
    let asked = access_request::Entity::find()
        .filter(Asked::ApplicationId.in_subquery(applications))
        .filter(Asked::OrganisationId.in_subquery(inside()))
        .filter(Asked::State.eq(access_request::State::Pending))
        .all(&**change)
        .await?;
    for request in asked {
        let withdrawn = access_request::State::Withdrawn;
        access_request::conclude(change, &request, withdrawn, Decision::default()).await?;
    }
    Ok(lost.len())
}

/// A root that becomes a sub-organisation has no custom roles any more; the plan has seen that none
/// is in use.
async fn delete_roles(change: &Change<'_>, relocation: &Relocation) -> Result<(), DbErr> {
    let id = relocation.moved.id;
    if relocation.root_left() != Some(id) {
        return Ok(());
    }
    for role in role::of_root(id).all(&**change).await? {
        role::Entity::delete_by_id(role.id).exec(&**change).await?;
        let event = RoleChanged { role_id: role.id.to_string() };
        change.announce("organisation.role.deleted.v1", role.id, &event).await?;
    }
    Ok(())
}
