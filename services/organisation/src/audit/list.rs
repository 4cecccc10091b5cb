use api::organisation::v1::{ListAuditRecordsRequest, ListAuditRecordsResponse};
use db::PageRequest;
use kernel::Fields;
use sea_orm::{EntityTrait as _, QueryFilter as _};

use crate::{
    Organisations,
    call::Call,
    entity::audit_record::{self, Column, Filter},
    error::Error,
};

/// What happened and what was refused, newest first unless asked otherwise; what waits for its place
/// in the chain is among it.
///
/// Needs `audit.read` at the organisation of the filter, whose records are shown with those below it;
/// without one at the platform.
pub(crate) async fn list(
    service: &Organisations,
    call: &Call,
    request: ListAuditRecordsRequest,
) -> Result<ListAuditRecordsResponse, Error> {
    let ListAuditRecordsRequest { filter, order_by, page_size, page_token } = request;
    let order = if order_by.is_empty() { "created_at desc" } else { &order_by };
    let mut fields = Fields::default();
    let filter = Filter::parse(&mut fields, filter);
    let page = PageRequest::parse_ordered(&mut fields, page_size, &page_token, order, &[]);
    let (Some(filter), Some(page)) = (filter, page) else {
        return Err(Error::Invalid(fields));
    };
    let database = service.database.read();
    filter.require(&service.rights(call, database, filter.place()).await?)?;
    let rows = audit_record::Entity::find().filter(filter.condition());
    let rows = page.apply(rows, None::<Column>, Column::Id).all(database).await?;
    let page = page.cut(rows, |row| row.id);
    Ok(ListAuditRecordsResponse {
        records: page.rows.into_iter().map(audit_record::Model::seen).collect(),
        next_page_token: page.next_page_token,
    })
}
