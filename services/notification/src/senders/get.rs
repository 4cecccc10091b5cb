use api::notification::v1::{GetSenderRequest, GetSenderResponse, Origin};
use kernel::{Fields, parse_id};
use service::Caller;

use super::etag;
use crate::{
    Notification,
    domain::place::{PLATFORM, Place},
    entity::sender,
    error::Error,
    rights::{self, READ_TEMPLATES},
};

/// Whom the mails of an organisation come from, and who says so.
///
/// Rule: the nearest that says something counts, as a whole. Who that is, is told to whom may read the
/// templates there too.
/// Permission: `templates.read` at the organisation, or the scope of that name. Event: none.
pub(crate) async fn get_sender(
    notification: &Notification,
    caller: &Caller,
    request: GetSenderRequest,
) -> Result<GetSenderResponse, Error> {
    let GetSenderRequest { organisation_id } = request;
    let mut fields = Fields::default();
    let Some(at) = fields.read("organisation_id", parse_id(&organisation_id)) else {
        return Err(Error::Invalid(fields));
    };
    rights::require_read(notification, caller, at).await?;
    let path = rights::path(notification, at).await?;
    let place = Place::new(&path, None);
    let Some(row) = sender::applying(notification.database.read(), &place).await? else {
        return Ok(GetSenderResponse {
            sender: Some(notification.sender(None)),
            origin: Origin::BuiltIn.into(),
            ..Default::default()
        });
    };
    let from = row.organisation_id;
    let is_visible = from != PLATFORM
        && (from == at || rights::may(notification, caller, from, READ_TEMPLATES).await?);
    let origin = if from == PLATFORM { Origin::Platform } else { Origin::Organisation };
    Ok(GetSenderResponse {
        etag: if from == at { etag(row.version) } else { String::new() },
        origin: origin.into(),
        organisation_id: if is_visible { from.to_string() } else { String::new() },
        sender: Some(notification.sender(Some(row.into()))),
    })
}
