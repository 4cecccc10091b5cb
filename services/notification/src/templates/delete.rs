use api::notification::v1::{DeleteTemplateRequest, DeleteTemplateResponse};
use kernel::Fields;
use service::Caller;

use super::{check_etag, parse_key, publish};
use crate::{
    Notification,
    entity::template::{self, Saved},
    error::Error,
    rights,
};

/// Takes an override back.
///
/// Rule: what is inherited applies again. The versions are kept, and this is one of them.
/// Permission: `templates.update` at the organisation, or the scope of that name.
/// Event: `notification.template.deleted.v1`, which the history is written from.
pub(crate) async fn delete_template(
    notification: &Notification,
    caller: &Caller,
    request: DeleteTemplateRequest,
) -> Result<DeleteTemplateResponse, Error> {
    let DeleteTemplateRequest { organisation_id, application_id, template, language, etag } =
        request;
    let mut fields = Fields::default();
    let key = parse_key(&mut fields, &organisation_id, &application_id, &template, &language);
    let Some((key, _)) = key else { return Err(Error::Invalid(fields)) };
    rights::require_update(notification, caller, key.organisation_id).await?;
    let deletion = Saved {
        id: notification.clock.new_id(),
        source: None,
        by: caller.subject,
        now: notification.clock.now(),
    };

    let tx = notification.database.begin().await?;
    let newest = template::newest(&*tx, &key).await?;
    let newest = newest.filter(|row| !row.is_deletion).ok_or(Error::TemplateNotFound)?;
    check_etag(&etag, Some(&newest))?;
    let saved = template::save(&*tx, &key, Some(&newest), deletion).await?;
    let saved = saved.ok_or(Error::EtagMismatch)?;
    publish(&tx, notification, "notification.template.deleted.v1", &saved, caller).await?;
    tx.commit().await?;
    Ok(DeleteTemplateResponse {})
}
