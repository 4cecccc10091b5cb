use api::organisation::v1::{ListSubjectMembershipsRequest, ListSubjectMembershipsResponse};
use db::PageRequest;
use kernel::{Fields, parse_id};
use sea_orm::entity::prelude::*;

use crate::{
    Organisations,
    call::Call,
    entity::membership::{self, Column},
    error::Error,
};

/// A subject's memberships in any state, the oldest organisation first.
///
/// Everybody reads their own; with the scope `permissions.check` a service account reads anybody's.
/// The primary key has a page in its order.
pub(crate) async fn list_own(
    service: &Organisations,
    call: &Call,
    request: ListSubjectMembershipsRequest,
) -> Result<ListSubjectMembershipsResponse, Error> {
    let ListSubjectMembershipsRequest { user_id, page_size, page_token } = request;
    let mut fields = Fields::default();
    let subject = fields.read_optional("user_id", &user_id, parse_id);
    let page = PageRequest::parse(&mut fields, page_size, &page_token);
    let (Some(subject), Some(page)) = (subject, page) else {
        return Err(Error::Invalid(fields));
    };
    let subject = subject.unwrap_or(call.subject);
    if subject != call.subject && !call.has_scope("permissions.check") {
        return Err(Error::ScopeMissing("permissions.check"));
    }
    let database = service.database.read();
    let own = membership::Entity::find().filter(Column::SubjectId.eq(subject));
    let rows = page.apply(own, None::<Column>, Column::OrganisationId).all(database).await?;
    let page = page.cut(rows, |row| row.organisation_id);
    let memberships = membership::shown_all(database, page.rows, service.clock.now()).await?;
    Ok(ListSubjectMembershipsResponse { memberships, next_page_token: page.next_page_token })
}
