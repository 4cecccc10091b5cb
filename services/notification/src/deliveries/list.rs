use api::notification::v1::{ListDeliveriesRequest, ListDeliveriesResponse};
use db::PageRequest;
use kernel::{Fields, parse_id};
use service::Caller;

use super::may_read;
use crate::{Notification, entity::delivery, error::Error};

/// The deliveries of an organisation, newest last, or only those of one of its invitations.
///
/// Rule: an organisation whose deliveries the caller may not read answers exactly like one that
/// does not exist, whether or not it has any.
/// Permission: `deliveries.read` at the organisation, or the scope of that name. Event: none.
pub(crate) async fn list_deliveries(
    notification: &Notification,
    caller: &Caller,
    request: ListDeliveriesRequest,
) -> Result<ListDeliveriesResponse, Error> {
    let ListDeliveriesRequest { organisation_id, invitation_id, page_size, page_token } = request;
    let mut fields = Fields::default();
    let organisation_id = fields.read("organisation_id", parse_id(&organisation_id));
    let invitation_id = fields.read_optional("invitation_id", &invitation_id, parse_id);
    let page = PageRequest::parse(&mut fields, page_size, &page_token);
    let (Some(organisation_id), Some(invitation_id), Some(page)) =
        (organisation_id, invitation_id, page)
    else {
        return Err(Error::Invalid(fields));
    };
    if !may_read(notification, caller, organisation_id).await? {
        return Err(Error::DeliveryNotFound);
    }
    let rows = delivery::list(
        notification.database.read(),
        organisation_id,
        invitation_id,
        page.after,
        page.limit(),
    );
    let page = page.cut(rows.await?, |row| row.id);
    Ok(ListDeliveriesResponse {
        deliveries: page.rows.into_iter().map(Into::into).collect(),
        next_page_token: page.next_page_token,
    })
}
