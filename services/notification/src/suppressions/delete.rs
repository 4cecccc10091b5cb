use api::notification::v1::{DeleteSuppressionRequest, DeleteSuppressionResponse};
use kernel::{EmailAddress, Fields};
use service::Caller;

use crate::{Notification, entity::suppression, error::Error, rights};

/// Takes an address off the suppression list.
///
/// Rule: what was suppressed until then stays so, until somebody sends it once more.
/// Permission: `operations.manage` at the platform, or the scope of that name. Event: none.
pub(crate) async fn delete_suppression(
    notification: &Notification,
    caller: &Caller,
    request: DeleteSuppressionRequest,
) -> Result<DeleteSuppressionResponse, Error> {
    let DeleteSuppressionRequest { email } = request;
    let mut fields = Fields::default();
    let Some(email) = fields.read("email", EmailAddress::parse(&email)) else {
        return Err(Error::Invalid(fields));
    };
    rights::require_operator(notification, caller).await?;
    let was_there = suppression::delete(notification.database.read(), &email).await?;
    if was_there { Ok(DeleteSuppressionResponse {}) } else { Err(Error::SuppressionNotFound) }
}
