use api::notification::v1::{DeleteSenderRequest, DeleteSenderResponse};
use kernel::{Fields, parse_id};
use service::Caller;

use super::{etag, publish};
use crate::{Notification, entity::sender, error::Error, rights};

/// Takes back whom the mails of an organisation come from: what is inherited applies again.
///
/// Permission: `templates.update` at the organisation, or the scope of that name.
/// Event: `notification.sender.deleted.v1`, which the history is written from.
pub(crate) async fn delete_sender(
    notification: &Notification,
    caller: &Caller,
    request: DeleteSenderRequest,
) -> Result<DeleteSenderResponse, Error> {
    let DeleteSenderRequest { organisation_id, etag: expected } = request;
    let mut fields = Fields::default();
    let Some(at) = fields.read("organisation_id", parse_id(&organisation_id)) else {
        return Err(Error::Invalid(fields));
    };
    rights::require_update(notification, caller, at).await?;

    let tx = notification.database.begin().await?;
    let before = sender::find(&*tx, at).await?.ok_or(Error::SenderNotFound)?;
    let is_expected = expected.is_empty() || expected == etag(before.version);
    if !is_expected || !sender::delete(&*tx, &before).await? {
        return Err(Error::EtagMismatch);
    }
    publish(&tx, notification, "notification.sender.deleted.v1", &before, caller).await?;
    tx.commit().await?;
    Ok(DeleteSenderResponse {})
}
