use api::notification::v1::{UpdateTemplateRequest, UpdateTemplateResponse};
use kernel::Fields;
use service::Caller;

use super::{check_etag, parse_key, publish, shown};
use crate::{
    Notification,
    entity::template::{self, Saved},
    error::Error,
    rights,
};

/// Overrides that an organisation or an application may have or have had: every template in a score
/// of languages.
pub(super) const MOST: u64 = 300;

/// Overrides a template at an organisation or application, as a new version.
///
/// Rule: what can be wrong with a template is refused before it is saved, all at once and with its
/// line. Of two who save at once one comes second and is told; the latest 50 versions are kept.
/// Permission: `templates.update` at the organisation, or the scope of that name.
/// Event: `notification.template.updated.v1`, which the history is written from.
pub(crate) async fn update_template(
    notification: &Notification,
    caller: &Caller,
    request: UpdateTemplateRequest,
) -> Result<UpdateTemplateResponse, Error> {
    let UpdateTemplateRequest { organisation_id, application_id, template, language, source, etag } =
        request;
    let mut fields = Fields::default();
    let key = parse_key(&mut fields, &organisation_id, &application_id, &template, &language);
    let Some((key, _)) = key else { return Err(Error::Invalid(fields)) };
    // What a template says is nobody's business who may not change it, so neither is what is wrong.
    rights::require_update(notification, caller, key.organisation_id).await?;
    let source = source.replace("\r\n", "\n");
    for violation in notification.engine.check(key.template, &key.language, &source) {
        fields.reject("source", violation);
    }
    if !fields.violations().is_empty() {
        return Err(Error::Invalid(fields));
    }
    let saved = Saved {
        id: notification.clock.new_id(),
        source: Some(source),
        by: caller.subject,
        now: notification.clock.now(),
    };

    let tx = notification.database.begin().await?;
    let newest = template::newest(&*tx, &key).await?;
    check_etag(&etag, newest.as_ref())?;
    if newest.is_none()
        && template::count(&*tx, key.organisation_id, key.application_id).await? >= MOST
    {
        return Err(Error::TemplateLimitReached(MOST));
    }
    let saved = template::save(&*tx, &key, newest.as_ref(), saved).await?;
    let saved = saved.ok_or(Error::EtagMismatch)?;
    publish(&tx, notification, "notification.template.updated.v1", &saved, caller).await?;
    tx.commit().await?;
    let template = shown(saved, (key.organisation_id, key.application_id), true);
    Ok(UpdateTemplateResponse { template: Some(template) })
}
