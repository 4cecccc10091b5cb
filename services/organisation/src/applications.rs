//! Applications, and who has access to them.

pub(crate) mod create;
pub(crate) mod get;
pub(crate) mod grant_access;
pub(crate) mod list;
pub(crate) mod list_access;
pub(crate) mod remove;
pub(crate) mod rotate_callback_secret;
#[cfg(test)]
mod tests;
pub(crate) mod update;
pub(crate) mod withdraw_access;

use std::cell::Cell;

use kernel::{Fields, Malformed, Uuid};
use url::{Host, Url};

use crate::{
    call::Call,
    change::Change,
    domain::{permission::Permission, rights::Denied},
    entity::application,
    error::Error,
};

/// How many redirect URLs and how many callback hosts an application has at most.
const MOST: usize = 20;

/// An application that the caller may change: with `applications.manage` at its organisation.
async fn managed(change: &Change<'_>, call: &Call, id: Uuid) -> Result<application::Model, Error> {
    let seen = application::seen_by(&**change, id, call, change.now).await?;
    let (found, rights) = seen.ok_or(Error::ApplicationNotFound)?;
    let permission = Permission::ApplicationsManage;
    match rights.require(permission) {
        // Whoever sees the application from below does not see its organisation.
        Err(Denied::Hidden) => Err(Denied::Missing(permission).into()),
        denied => denied.map(|()| found).map_err(Error::from),
    }
}

/// Reads redirect URLs: absolute https, or http on this machine, without a fragment and without user
/// information. Each is kept as it was written, because it is compared character by character; so
/// whatever a browser would have to mend is refused.
fn read_redirect_urls(fields: &mut Fields, field: &str, texts: &[String]) -> Option<Vec<String>> {
    const EXPECTED: Malformed = Malformed(
        "an absolute https URL (http for 127.0.0.1 and localhost) without fragment and user \
         information, of at most 2000 characters",
    );
    read_all(fields, field, texts, |text| {
        let is_mended = Cell::new(false);
        let mend = |_| is_mended.set(true);
        let url = Url::options().syntax_violation_callback(Some(&mend)).parse(text);
        let url = url.map_err(|_| EXPECTED)?;
        let is_local = matches!(url.host_str(), Some("127.0.0.1" | "localhost"));
        let is_secure = url.scheme() == "https" || url.scheme() == "http" && is_local;
        let is_plain = text.len() <= 2_000 && text.bytes().all(|b| b.is_ascii_graphic());
        let names_user = !url.username().is_empty() || url.password().is_some();
        if is_mended.get() || !is_secure || !is_plain || names_user || url.fragment().is_some() {
            return Err(EXPECTED);
        }
        Ok(text.to_owned())
    })
}

/// Reads callback hosts: a host with an optional port, kept as [`Url`] writes them: in lower case,
/// without the port of https.
fn read_callback_hosts(fields: &mut Fields, field: &str, texts: &[String]) -> Option<Vec<String>> {
    const EXPECTED: Malformed =
        Malformed("a host with an optional port, such as hooks.example.com:8443");
    read_all(fields, field, texts, |text| {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b);
        if text.len() > 255 || !text.bytes().all(is_plain) {
            return Err(EXPECTED);
        }
        let url = Url::parse(&format!("https://{text}/")).map_err(|_| EXPECTED)?;
        let host: Host<&str> = url.host().ok_or(EXPECTED)?;
        Ok(url.port().map_or_else(|| host.to_string(), |port| format!("{host}:{port}")))
    })
}

fn read_all(
    fields: &mut Fields,
    field: &str,
    texts: &[String],
    read: impl Fn(&str) -> Result<String, Malformed>,
) -> Option<Vec<String>> {
    if texts.len() > MOST {
        fields.reject(field, Malformed("at most 20"));
        return None;
    }
    let mut values: Vec<String> = Vec::with_capacity(texts.len());
    let mut all_right = true;
    for (index, text) in texts.iter().enumerate() {
        match fields.read(format!("{field}[{index}]"), read(text)) {
            Some(value) if values.contains(&value) => {}
            Some(value) => values.push(value),
            None => all_right = false,
        }
    }
    all_right.then_some(values)
}
