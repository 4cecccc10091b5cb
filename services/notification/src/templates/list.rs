use std::collections::{BTreeSet, HashMap};

use api::notification::v1::{ListTemplatesRequest, ListTemplatesResponse, Template as Shown};
use kernel::{Fields, Uuid, parse_id};
use service::Caller;

use super::{built_in, shown, shown_built_in};
use crate::{
    Notification,
    domain::{
        place::Place,
        template::{BUILT_IN, Language, Locale, Template},
    },
    entity::template::{self, Model},
    error::Error,
    rights::{self, READ_TEMPLATES},
};

/// What applies at an organisation or application, for every template, in one language.
///
/// Rule: each template once, without its text, with the languages that there is one in. The catalogue
/// is closed, so there are no pages.
/// Permission: `templates.read` at the organisation, or the scope of that name. Event: none.
pub(crate) async fn list_templates(
    notification: &Notification,
    caller: &Caller,
    request: ListTemplatesRequest,
) -> Result<ListTemplatesResponse, Error> {
    let ListTemplatesRequest { organisation_id, application_id, language } = request;
    let mut fields = Fields::default();
    let organisation = fields.read("organisation_id", parse_id(&organisation_id));
    let application = fields.read_optional("application_id", &application_id, parse_id);
    let locale = fields.read("language", Locale::parse(&language));
    let (Some(organisation), Some(application), Some(locale)) = (organisation, application, locale)
    else {
        return Err(Error::Invalid(fields));
    };
    rights::require_read(notification, caller, organisation).await?;
    let path = rights::path(notification, organisation).await?;
    let place = Place::new(&path, application);
    let rows = template::all_in_force(notification.database.read(), &place).await?;
    let visible = visible(notification, caller, &rows).await?;
    let languages = locale.languages();
    let templates = Template::ALL.into_iter().map(|template| {
        let of_it: Vec<_> = rows.iter().filter(|row| row.template == template.key()).collect();
        let tags: BTreeSet<_> =
            of_it.iter().map(|row| row.language.as_str()).chain(BUILT_IN).collect();
        let template = match nearest(&of_it, &place, &languages) {
            Some(row) => {
                let at = (place.organisation(), place.application());
                let is_visible = visible.get(&row.organisation_id).copied().unwrap_or_default();
                shown(row.clone(), at, is_visible)
            }
            None => {
                let (_, language) = built_in(template, &languages)?;
                shown_built_in(template, language, "")
            }
        };
        Ok(Shown { languages: tags.into_iter().map(str::to_owned).collect(), ..template })
    });
    Ok(ListTemplatesResponse { templates: templates.collect::<Result<_, Error>>()? })
}

/// The organisations that overrides are of, and whether the caller may read the templates there.
async fn visible(
    notification: &Notification,
    caller: &Caller,
    rows: &[Model],
) -> Result<HashMap<Uuid, bool>, Error> {
    let ids: BTreeSet<_> = rows.iter().map(|row| row.organisation_id).collect();
    let ids: Vec<_> = ids.into_iter().collect();
    let allowed = rights::may_at_each(notification, caller, &ids, READ_TEMPLATES).await?;
    Ok(ids.into_iter().zip(allowed).collect())
}

/// Of the overrides of one template the one that applies, as `entity::template::applying` finds it.
fn nearest<'a>(rows: &[&'a Model], place: &Place, languages: &[Language]) -> Option<&'a Model> {
    let (organisations, applications) = (place.organisations(), place.applications());
    let rank = |row: &&&Model| {
        Some((
            languages.iter().position(|language| language.tag() == row.language)?,
            applications.iter().position(|id| *id == row.application_id)?,
            organisations.iter().position(|id| *id == row.organisation_id)?,
        ))
    };
    rows.iter().filter(|row| rank(row).is_some()).min_by_key(rank).copied()
}
