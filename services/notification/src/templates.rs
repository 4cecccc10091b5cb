//! Use cases about templates, one a file, and what they share: what a request names, which template
//! applies, and how one looks to the world.

pub(crate) mod delete;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod list_versions;
pub(crate) mod preview;
pub(crate) mod render;
pub(crate) mod update;

#[cfg(test)]
mod tests;

use api::notification::v1::{Origin, Template as Shown, TemplateChanged};
use db::{DbErr, Transaction};
use kernel::{Fields, Uuid, parse_id};
use service::{Caller, CallerKind};

use crate::{
    Notification,
    domain::{
        place::PLATFORM,
        template::{Language, Locale, Template, TemplateKey},
        variable::Variables,
    },
    engine::{self, Rendered},
    entity::template::{Key, Model, Override},
    error::Error,
};

/// Reads what a request says of an override. An unknown template is a violation here: the catalogue
/// is closed and documented.
fn parse_key(
    fields: &mut Fields,
    organisation_id: &str,
    application_id: &str,
    template: &str,
    locale: &str,
) -> Option<(Key, Locale)> {
    let organisation_id = fields.read("organisation_id", parse_id(organisation_id));
    let application_id = fields.read_optional("application_id", application_id, parse_id);
    let key = fields.read("template", TemplateKey::parse(template));
    let template = key.and_then(|key| {
        let found = Template::find(&key);
        if found.is_none() {
            fields.reject("template", "expected one of the templates that there are");
        }
        found
    });
    let locale = fields.read("language", Locale::parse(locale))?;
    let key = Key {
        organisation_id: organisation_id?,
        application_id: application_id?.unwrap_or_default(),
        template: template?,
        language: locale.language(),
    };
    Some((key, locale))
}

/// The application of an override, if it is of one.
fn application(id: Uuid) -> Option<Uuid> {
    Some(id).filter(|id| !id.is_nil())
}

/// What Usher comes with in the last of the languages, which is one that it comes in.
fn built_in(
    template: Template,
    languages: &[Language],
) -> Result<(&'static str, &Language), Error> {
    let language = languages.last();
    let source = language
        .and_then(|language| engine::built_in(template, language).map(|source| (source, language)));
    source.ok_or(Error::TemplateNotFound)
}

/// Fills the template that applies. An override was tried before it was saved, but values are longer
/// than samples, a condition may leave out with them what it shows with samples, and a later version of
/// ours may know other variables: one that fails, or does not show what its reader needs, is passed
/// over, because a mail in our words is better than none.
fn fill(
    notification: &Notification,
    template: Template,
    languages: &[Language],
    found: Option<&Override>,
    variables: &Variables,
) -> Result<Rendered, Error> {
    if let Some(found) = found
        && let Ok(locale) = Locale::parse(&found.language)
    {
        let rendered = notification.engine.render(&found.source, &locale.language(), variables);
        let checked = rendered.and_then(|rendered| {
            let not_shown = variables.not_shown_in(template, &rendered.text).next();
            not_shown.map_or(Ok(rendered), |it| Err(engine::Error::NotShown(it.name)))
        });
        match checked {
            Ok(rendered) => return Ok(rendered),
            Err(error) => tracing::error!(
                template = template.key(),
                organisation_id = %found.organisation_id,
                language = found.language,
                version = found.version,
                reason = error.kind(),
                "an override cannot be filled: the template that Usher comes with is used instead"
            ),
        }
    }
    let (source, language) = built_in(template, languages)?;
    Ok(notification.engine.render(source, language, variables)?)
}

/// A template that Usher comes with, as callers see it.
fn shown_built_in(template: Template, language: &Language, source: &str) -> Shown {
    Shown {
        template: template.key().to_owned(),
        language: language.tag().to_owned(),
        source: source.to_owned(),
        origin: Origin::BuiltIn.into(),
        ..Default::default()
    }
}

/// An override as callers see it who ask about a place; `is_visible` says whether they may read the
/// templates of the organisation that it is of.
fn shown(row: Model, at: (Uuid, Uuid), is_visible: bool) -> Shown {
    let is_here = (row.organisation_id, row.application_id) == at;
    let origin = match (row.application_id.is_nil(), row.organisation_id) {
        (false, _) => Origin::Application,
        (true, PLATFORM) => Origin::Platform,
        (true, _) => Origin::Organisation,
    };
    let id = |id: Uuid, is_told: bool| if is_told { id.to_string() } else { String::new() };
    Shown {
        template: row.template,
        language: row.language,
        source: row.source,
        origin: origin.into(),
        organisation_id: id(row.organisation_id, is_visible && row.organisation_id != PLATFORM),
        application_id: id(row.application_id, !row.application_id.is_nil()),
        version: row.version,
        etag: if is_here { etag(row.version) } else { String::new() },
        created_at: Some(api::timestamp(row.created_at)),
        languages: Vec::new(),
    }
}

/// Publishes that an override is of another version.
async fn publish(
    tx: &Transaction,
    notification: &Notification,
    key: &'static str,
    row: &Model,
    by: &Caller,
) -> Result<(), DbErr> {
    let event = TemplateChanged {
        organisation_id: row.organisation_id.to_string(),
        application_id: application(row.application_id)
            .map(|id| id.to_string())
            .unwrap_or_default(),
        template: row.template.clone(),
        language: row.language.clone(),
        version: row.version,
        actor_id: by.subject.to_string(),
        by_service_account: matches!(by.kind, CallerKind::Service { .. }),
    };
    service::publish(tx, &notification.clock, key, row.organisation_id, &event).await
}

/// A version as callers see it.
fn etag(version: i32) -> String {
    format!("v{version}")
}

/// Whether the override is still the one that the caller read, if they say which.
fn check_etag(given: &str, newest: Option<&Model>) -> Result<(), Error> {
    let current = newest.filter(|row| !row.is_deletion).map(|row| etag(row.version));
    if given.is_empty() || current.is_some_and(|current| current == given) {
        Ok(())
    } else {
        Err(Error::EtagMismatch)
    }
}
