use api::notification::v1::{GetTemplateRequest, GetTemplateResponse};
use kernel::{Fields, Malformed};
use service::Caller;

use super::{application, built_in, parse_key, shown, shown_built_in};
use crate::{
    Notification,
    domain::place::Place,
    entity::template,
    error::Error,
    rights::{self, READ_TEMPLATES},
};

/// The template that applies at an organisation or application, or one version that was saved there.
///
/// Rule: where an inherited one comes from is told to whom may read the templates there too. A
/// version that took the override back has no text and is not found.
/// Permission: `templates.read` at the organisation, or the scope of that name. Event: none.
pub(crate) async fn get_template(
    notification: &Notification,
    caller: &Caller,
    request: GetTemplateRequest,
) -> Result<GetTemplateResponse, Error> {
    let GetTemplateRequest { organisation_id, application_id, template, language, version } =
        request;
    let mut fields = Fields::default();
    let key = parse_key(&mut fields, &organisation_id, &application_id, &template, &language);
    if version < 0 {
        fields.reject("version", Malformed("a version's number, or 0 for what applies"));
    }
    let (Some((key, locale)), true) = (key, fields.violations().is_empty()) else {
        return Err(Error::Invalid(fields));
    };
    rights::require_read(notification, caller, key.organisation_id).await?;
    let at = (key.organisation_id, key.application_id);
    let database = notification.database.read();
    if version > 0 {
        let row = template::version(database, &key, version).await?;
        let row = row.filter(|row| !row.is_deletion).ok_or(Error::TemplateNotFound)?;
        return Ok(GetTemplateResponse { template: Some(shown(row, at, true)) });
    }
    let path = rights::path(notification, key.organisation_id).await?;
    let place = Place::new(&path, application(key.application_id));
    let languages = locale.languages();
    let template = match template::applying(database, &place, key.template, &languages).await? {
        Some(row) => {
            let from = row.organisation_id;
            let is_visible = from == key.organisation_id
                || rights::may(notification, caller, from, READ_TEMPLATES).await?;
            shown(row, at, is_visible)
        }
        None => {
            let (source, language) = built_in(key.template, &languages)?;
            shown_built_in(key.template, language, source)
        }
    };
    Ok(GetTemplateResponse { template: Some(template) })
}
