use api::notification::v1::{GetDeliveryRequest, GetDeliveryResponse};
use kernel::{Fields, parse_id};
use service::Caller;

use super::may_read;
use crate::{Notification, entity::delivery, error::Error};

/// One delivery.
///
/// Rule: a delivery that the caller may not read answers exactly like one that does not exist.
/// Permission: `deliveries.read` at its organisation, or the scope of that name. Event: none.
pub(crate) async fn get_delivery(
    notification: &Notification,
    caller: &Caller,
    request: GetDeliveryRequest,
) -> Result<GetDeliveryResponse, Error> {
    let GetDeliveryRequest { id } = request;
    let mut fields = Fields::default();
    let Some(id) = fields.read("id", parse_id(&id)) else {
        return Err(Error::Invalid(fields));
    };
    // Whose it is decides who may read it, so it is loaded first.
    let row = delivery::find(notification.database.read(), id).await?;
    let row = row.ok_or(Error::DeliveryNotFound)?;
    if !may_read(notification, caller, row.organisation_id).await? {
        return Err(Error::DeliveryNotFound);
    }
    Ok(GetDeliveryResponse { delivery: Some(row.into()) })
}
