use api::notification::v1::{GetDeadLetterRequest, GetDeadLetterResponse};
use kernel::{Fields, parse_id};
use service::Caller;

use crate::{Notification, entity::dead_letter, error::Error, rights};

/// One dead letter, with the event itself.
///
/// Permission: `operations.manage` at the platform, or the scope of that name. Event: none.
pub(crate) async fn get_dead_letter(
    notification: &Notification,
    caller: &Caller,
    request: GetDeadLetterRequest,
) -> Result<GetDeadLetterResponse, Error> {
    let GetDeadLetterRequest { id } = request;
    let mut fields = Fields::default();
    let Some(id) = fields.read("id", parse_id(&id)) else {
        return Err(Error::Invalid(fields));
    };
    rights::require_operator(notification, caller).await?;
    let row = dead_letter::find(notification.database.read(), id).await?;
    Ok(GetDeadLetterResponse { dead_letter: Some(row.ok_or(Error::DeadLetterNotFound)?.into()) })
}
