use api::organisation::v1::{
    InvitationDeliveryState, InvitationState, ListInvitationsRequest, ListInvitationsResponse,
};
use db::PageRequest;
use kernel::{EmailAddress, Fields, Malformed, Uuid, parse_id};
use sea_orm::{JoinType, QuerySelect as _, QueryTrait as _, entity::prelude::*};

use crate::{
    Organisations,
    call::Call,
    domain::{invitation::parse_source_id, permission::Permission},
    entity::{
        ancestor,
        invitation::{self, Column},
        organisation::{self, PLATFORM},
    },
    error::Error,
};

/// The invitations of one organisation, or of those below it too: oldest first, or the other way
/// round; of one state, delivery state, inviter, address, application or source, or all.
///
/// Needs `invitations.read` there.
pub(crate) async fn list(
    service: &Organisations,
    call: &Call,
    request: ListInvitationsRequest,
) -> Result<ListInvitationsResponse, Error> {
    let ListInvitationsRequest {
        organisation_id,
        state,
        page_size,
        page_token,
        recursive,
        inviter_id,
        email,
        application_id,
        source_id,
        order_by,
        delivery_state,
    } = request;
    let mut fields = Fields::default();
    let id = fields.read("organisation_id", parse_id(&organisation_id));
    let state = InvitationState::try_from(state).map_err(|_| Malformed("a state of an invitation"));
    let state = fields.read("state", state);
    let delivery = InvitationDeliveryState::try_from(delivery_state);
    let delivery = delivery.map_err(|_| Malformed("a delivery state of an invitation"));
    let delivery = fields.read("delivery_state", delivery);
    let inviter = fields.read_optional("inviter_id", &inviter_id, parse_id);
    let email = fields.read_optional("email", &email, EmailAddress::parse);
    let application = fields.read_optional("application_id", &application_id, parse_id);
    let source = fields.read_optional("source_id", &source_id, parse_source_id);
    let page = PageRequest::parse_ordered(&mut fields, page_size, &page_token, &order_by, &[]);
    let (Some(id), Some(state), Some(inviter), Some(email), Some(application), Some(source)) =
        (id, state, inviter, email, application, source)
    else {
        return Err(Error::Invalid(fields));
    };
    let Some((page, delivery)) = page.zip(delivery) else { return Err(Error::Invalid(fields)) };
    let database = service.database.read();
    let rights = service.rights(call, database, id).await?;
    rights.require(Permission::InvitationsRead)?;
    if id == PLATFORM {
        return Err(Error::OrganisationNotFound);
    }
    let now = service.clock.now();
    let mut wanted = invitation::Entity::find();
    wanted = if recursive {
        let sees_archived = rights.allow(Permission::OrganisationsArchive);
        let within = at_and_below(id, sees_archived).into_query();
        wanted.filter(Column::OrganisationId.in_subquery(within))
    } else {
        wanted.filter(Column::OrganisationId.eq(id))
    };
    wanted = wanted
        .filter(invitation::in_delivery_state(delivery))
        .apply_if(inviter, |rows, inviter| rows.filter(Column::InviterId.eq(inviter)))
        .apply_if(email, |rows, email| rows.filter(Column::Email.eq(email.as_str())))
        .apply_if(application, |rows, it| rows.filter(Column::ApplicationId.eq(it)))
        .apply_if(source, |rows, source| rows.filter(invitation::of_source(source)));
    let mut rows = Vec::new();
    for in_state in invitation::in_state(state, now) {
        let some = page.apply(wanted.clone().filter(in_state), None::<Column>, Column::Id);
        rows.extend(some.all(database).await?);
    }
    rows.sort_by_key(|row| row.id);
    rows.dedup_by_key(|row| row.id);
    if page.descending() {
        rows.reverse();
    }
    let page = page.cut(rows, |row| row.id);
    Ok(ListInvitationsResponse {
        invitations: page.rows.into_iter().map(|row| row.seen_at(now)).collect(),
        next_page_token: page.next_page_token,
    })
}

/// An organisation and those below it. The archived among them are for those who could restore them.
fn at_and_below(id: Uuid, archived_too: bool) -> Select<ancestor::Entity> {
    let to_organisation = ancestor::Entity::belongs_to(organisation::Entity)
        .from(ancestor::Column::OrganisationId)
        .to(organisation::Column::Id);
    let below = ancestor::Entity::find()
        .select_only()
        .column(ancestor::Column::OrganisationId)
        .filter(ancestor::Column::AncestorId.eq(id));
    if archived_too {
        return below;
    }
    below
        .join(JoinType::InnerJoin, to_organisation.into())
        .filter(organisation::Column::ArchivedBy.is_null())
}

#[cfg(test)]
mod tests;
