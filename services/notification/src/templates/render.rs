use api::notification::v1::{RenderMailRequest, RenderMailResponse};
use kernel::{Fields, parse_id};
use service::Caller;

use crate::{
    Notification,
    domain::template::{Locale, Template, TemplateKey, Variables},
    engine::Rendered,
    error::Error,
};

const WRITE: &str = "deliveries.write";

/// Fills a template.
///
/// Rule: each variable is a plain text, escaped for where it lands; what a template needs and does
/// not get is refused, and so is a subject with control characters.
/// Permission: the scope `deliveries.write`. Event: none.
pub(crate) fn render_mail(
    notification: &Notification,
    caller: &Caller,
    request: RenderMailRequest,
) -> Result<RenderMailResponse, Error> {
    let RenderMailRequest { template, locale, organisation_id, variables } = request;
    let mut fields = Fields::default();
    let template = fields.read("template", TemplateKey::parse(&template));
    let locale = fields.read("locale", Locale::parse(&locale));
    // Templates are the same for every organisation as yet.
    let organisation_id = fields.read("organisation_id", parse_id(&organisation_id));
    let variables = Variables::parse(&mut fields, variables);
    let (Some(template), Some(locale), Some(_), Some(variables)) =
        (template, locale, organisation_id, variables)
    else {
        return Err(Error::Invalid(fields));
    };
    if !caller.has_scope(WRITE) {
        return Err(Error::ScopeMissing(WRITE));
    }
    let template = Template::find(&template).ok_or(Error::TemplateNotFound)?;

    let Rendered { subject, text, html } =
        notification.engine.render(template, locale.language(), &variables)?;
    if subject.chars().any(char::is_control) {
        fields.reject("variables", "expected no control characters where the subject shows them");
        return Err(Error::Invalid(fields));
    }
    Ok(RenderMailResponse { subject, text, html })
}
