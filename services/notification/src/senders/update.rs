use api::notification::v1::{Sender, UpdateSenderRequest, UpdateSenderResponse};
use kernel::{DisplayName, EmailAddress, Fields, parse_id};
use service::Caller;

use super::{etag, publish};
use crate::{
    Notification,
    domain::place::PLATFORM,
    entity::sender::{self, Said},
    error::Error,
    rights::{self, UPDATE_TEMPLATES},
};

/// Says whom the mails of an organisation and all below it come from.
///
/// Rule: the address's domain is among the configured ones: mail from another would not be ours to
/// send. And whose it is among them, nobody knows but who runs the platform: so the platform lends an
/// address, and the organisation keeps it, or gives it back. All of it is replaced.
/// Permission: `templates.update` at the organisation, or the scope of that name; for another address
/// also at the platform.
/// Event: `notification.sender.updated.v1`, which the history is written from.
pub(crate) async fn update_sender(
    notification: &Notification,
    caller: &Caller,
    request: UpdateSenderRequest,
) -> Result<UpdateSenderResponse, Error> {
    let UpdateSenderRequest { organisation_id, sender, etag: expected } = request;
    let Sender { display_name, reply_to, from_address } = sender.unwrap_or_default();
    let mut fields = Fields::default();
    let at = fields.read("organisation_id", parse_id(&organisation_id));
    let name = fields.read("sender.display_name", DisplayName::parse(&display_name));
    let reply_to =
        fields.read_optional("sender.reply_to", &reply_to, EmailAddress::parse).flatten();
    let from =
        fields.read_optional("sender.from_address", &from_address, EmailAddress::parse).flatten();
    if let Some(from) = &from
        && !notification.sender_domains.iter().any(|ours| ours.as_str() == from.domain())
    {
        let ours: Vec<_> = notification.sender_domains.iter().map(ToString::to_string).collect();
        let expected = format!("expected an address of {}", ours.join(", "));
        fields.reject("sender.from_address", expected);
    }
    let (Some(at), Some(name), true) = (at, name, fields.violations().is_empty()) else {
        return Err(Error::Invalid(fields));
    };
    rights::require_update(notification, caller, at).await?;
    let said = Said {
        display_name: name.into(),
        reply_to: reply_to.map(String::from).unwrap_or_default(),
        from_address: from.map(String::from).unwrap_or_default(),
    };
    let is_lent = said.from_address.is_empty()
        || rights::may(notification, caller, PLATFORM, UPDATE_TEMPLATES).await?;
    let by = (caller.subject, notification.clock.now());

    let tx = notification.database.begin().await?;
    let before = sender::find(&*tx, at).await?;
    let current = before.as_ref().map(|row| etag(row.version)).unwrap_or_default();
    if !expected.is_empty() && expected != current {
        return Err(Error::EtagMismatch);
    }
    let is_kept = before.as_ref().is_some_and(|row| row.from_address == said.from_address);
    if !is_lent && !is_kept {
        return Err(Error::AddressNotLent(UPDATE_TEMPLATES));
    }
    let row = sender::save(&*tx, at, before.as_ref(), said, by).await?;
    let row = row.ok_or(Error::EtagMismatch)?;
    publish(&tx, notification, "notification.sender.updated.v1", &row, caller).await?;
    tx.commit().await?;
    Ok(UpdateSenderResponse {
        etag: etag(row.version),
        sender: Some(notification.sender(Some(row.into()))),
    })
}
