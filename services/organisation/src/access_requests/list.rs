use api::organisation::v1::{ListAccessRequestsRequest, ListAccessRequestsResponse};
use db::PageRequest;
use kernel::{Fields, Time, Uuid, parse_id};
use sea_orm::{QuerySelect as _, QueryTrait as _, entity::prelude::*};

use super::page_of;
use crate::{
    Organisations,
    call::Call,
    domain::permission::Permission,
    entity::{
        access_request::{self, Column, Entity},
        ancestor, membership,
        organisation::PLATFORM,
        reach,
    },
    error::Error,
};

/// The requests at an organisation and below it, or, without one, at all organisations where the
/// caller holds `requests.read` and that are not archived: the platform's support so sees those of
/// all roots. In order of creation.
///
/// Needs `requests.read` at the organisation that is named.
pub(crate) async fn list(
    service: &Organisations,
    call: &Call,
    request: ListAccessRequestsRequest,
) -> Result<ListAccessRequestsResponse, Error> {
    let ListAccessRequestsRequest {
        organisation_id,
        state,
        overdue,
        no_approvers,
        application_id,
        order_by,
        page_size,
        page_token,
    } = request;
    let now = service.clock.now();
    let mut fields = Fields::default();
    let organisation = fields.read_optional("organisation_id", &organisation_id, parse_id);
    let in_state = fields.read("state", access_request::in_state(state, now));
    let application = fields.read_optional("application_id", &application_id, parse_id);
    let page = PageRequest::parse_ordered(&mut fields, page_size, &page_token, &order_by, &[]);
    let (Some(organisation), Some(in_state), Some(application), Some(page)) =
        (organisation, in_state, application, page)
    else {
        return Err(Error::Invalid(fields));
    };
    let mut rows = match organisation {
        Some(organisation) => at_and_below(service, call, organisation).await?,
        None => everywhere(service, call, now).await?,
    };
    rows = rows.filter(in_state);
    if overdue {
        rows = rows.filter(Column::Overdue.eq(true));
    }
    if no_approvers {
        rows = rows.filter(Column::NoApprovers.eq(true));
    }
    if let Some(application) = application {
        rows = rows.filter(Column::ApplicationId.eq(application));
    }
    let (access_requests, next_page_token) =
        page_of(service.database.read(), page, rows, now).await?;
    Ok(ListAccessRequestsResponse { access_requests, next_page_token })
}

async fn at_and_below(
    service: &Organisations,
    call: &Call,
    organisation: Uuid,
) -> Result<Select<Entity>, Error> {
    let rights = service.rights(call, service.database.read(), organisation).await?;
    rights.require(Permission::RequestsRead)?;
    if organisation == PLATFORM {
        return Err(Error::OrganisationNotFound);
    }
    let below = ancestor::Entity::find()
        .select_only()
        .column(ancestor::Column::OrganisationId)
        .filter(ancestor::Column::AncestorId.eq(organisation))
        .into_query();
    Ok(Entity::find().filter(Column::OrganisationId.in_subquery(below)))
}

async fn everywhere(
    service: &Organisations,
    call: &Call,
    now: Time,
) -> Result<Select<Entity>, Error> {
    let (database, subject) = (service.database.read(), call.subject);
    let needed = [Permission::OrganisationsRead, Permission::RequestsRead];
    let at_platform = membership::rights(database, subject, PLATFORM, now).await?;
    if needed.into_iter().all(|permission| at_platform.allow(permission)) {
        let open = reach::open_organisations();
        return Ok(Entity::find().filter(Column::OrganisationId.in_subquery(open)));
    }
    Ok(needed.into_iter().fold(Entity::find(), |rows, permission| {
        let reached = reach::of(database, subject, permission, now);
        rows.filter(Column::OrganisationId.in_subquery(reached))
    }))
}
