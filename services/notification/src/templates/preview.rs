use api::notification::v1::{PreviewTemplateRequest, PreviewTemplateResponse};
use kernel::Fields;
use service::Caller;

use super::{application, fill, parse_key};
use crate::{
    Notification,
    domain::{place::Place, variable::Variables},
    engine::Rendered,
    entity::template,
    error::Error,
    rights,
};

/// What a mail would look like, with a sample for each variable.
///
/// Rule: a text that is not saved is held to what saving holds it to. Nothing is saved.
/// Permission: `templates.read` at the organisation, or the scope of that name. Event: none.
pub(crate) async fn preview_template(
    notification: &Notification,
    caller: &Caller,
    request: PreviewTemplateRequest,
) -> Result<PreviewTemplateResponse, Error> {
    let PreviewTemplateRequest { organisation_id, application_id, template, language, source } =
        request;
    let mut fields = Fields::default();
    let key = parse_key(&mut fields, &organisation_id, &application_id, &template, &language);
    let Some((key, locale)) = key else { return Err(Error::Invalid(fields)) };
    rights::require_read(notification, caller, key.organisation_id).await?;
    let variables = Variables::samples(key.template);
    let Rendered { subject, text, html } = if source.is_empty() {
        let path = rights::path(notification, key.organisation_id).await?;
        let place = Place::new(&path, application(key.application_id));
        let languages = locale.languages();
        let database = notification.database.read();
        let found = template::applying(database, &place, key.template, &languages).await?;
        let found = found.map(Into::into);
        fill(notification, key.template, &languages, found.as_ref(), &variables)?
    } else {
        let source = source.replace("\r\n", "\n");
        for violation in notification.engine.check(key.template, &key.language, &source) {
            fields.reject("source", violation);
        }
        if !fields.violations().is_empty() {
            return Err(Error::Invalid(fields));
        }
        notification.engine.render(&source, &key.language, &variables)?
    };
    Ok(PreviewTemplateResponse { subject, text, html })
}
