use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, StatusCode, header::IF_MATCH, request::Parts},
};
use kernel::{Fields, parse_id};
use tonic::Status;

use crate::problem::Problem;

/// What a changing request says about itself in its headers.
///
/// `Idempotency-Key`, a UUID, makes a repetition within 24 hours answer as the first request did.
/// `If-Match`, an entity tag of an earlier answer, makes the change happen only if nothing has
/// changed since.
///
/// Errors: a header that is wrong, or given twice, is noted among the [`Fields`].
pub(crate) struct Change {
    /// Empty if the header is left out.
    pub request_id: String,
    if_match: Option<String>,
    pub fields: Fields,
}

const KEY: &str = "Idempotency-Key";

impl Change {
    fn read(headers: &HeaderMap) -> Self {
        let mut fields = Fields::default();
        let key = single(headers, KEY).and_then(|key| match key {
            // The header is a structured field (draft-ietf-httpapi-idempotency-key-header): a text
            // in quotes. Most clients leave them out.
            Some(key) => parse_id(unquoted(key).unwrap_or(key)).map_err(|error| error.to_string()),
            None => Ok(kernel::Uuid::nil()),
        });
        let request_id = match fields.read(KEY, key) {
            Some(id) if !id.is_nil() => id.to_string(),
            _ => String::new(),
        };
        let tag = single(headers, IF_MATCH.as_str()).and_then(|tag| match tag {
            // Whatever is there: it is asked for by its identifier anyway.
            None | Some("*") => Ok(None),
            Some(tag) => unquoted(tag)
                .filter(|tag| !tag.is_empty() && !tag.contains('"'))
                .map(|tag| Some(tag.to_owned()))
                .ok_or_else(|| "expected one entity tag in quotes, as `ETag` gave it".to_owned()),
        });
        let if_match = fields.read("If-Match", tag).flatten();
        Self { request_id, if_match, fields }
    }

    /// The version that the change is meant for: from `If-Match`, or from the body; empty if neither
    /// names one.
    pub fn etag(&mut self, body: String) -> String {
        match &self.if_match {
            Some(tag) if !body.is_empty() && *tag != body => {
                self.fields.reject("If-Match", "expected the same as `etag` in the body");
                body
            }
            Some(tag) => tag.clone(),
            None => body,
        }
    }

    /// A condition that nobody would look at is not taken.
    pub fn unconditional(&mut self) {
        if self.if_match.is_some() {
            self.fields
                .reject("If-Match", "expected to be left out: this change takes no condition");
        }
    }

    /// A refusal; 412 where `If-Match` asked for the version that is gone (RFC 9110, section 13.1.1).
    pub fn refused(&self, status: Status) -> Problem {
        let problem = Problem::from(status);
        if self.if_match.is_some() && problem.reason == "ETAG_MISMATCH" {
            return Problem { status: StatusCode::PRECONDITION_FAILED, ..problem };
        }
        problem
    }
}

/// The one value of a header.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, String> {
    let mut given = headers.get_all(name).iter();
    match (given.next(), given.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            value.to_str().map(|text| Some(text.trim())).map_err(|_| "expected a text".to_owned())
        }
        _ => Err("expected one value".to_owned()),
    }
}

fn unquoted(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"')
}

impl<S: Sync> FromRequestParts<S> for Change {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self::read(&parts.headers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    fn read(pairs: &[(&'static str, &str)]) -> Change {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        Change::read(&headers)
    }

    #[test]
    fn a_key_is_a_uuid_with_or_without_quotes() {
        assert_eq!(read(&[]).request_id, "");
        assert_eq!(read(&[("idempotency-key", ID)]).request_id, ID);
        assert_eq!(read(&[("idempotency-key", &format!("\"{ID}\""))]).request_id, ID);
        for bad in ["", "7", "\"7\"", "01890a5d-ac96-774b-bcce-b302099a805x"] {
            let change = read(&[("idempotency-key", bad)]);
            assert_eq!(change.fields.violations()[0].field, "Idempotency-Key", "{bad:?}");
        }
        let twice = read(&[("idempotency-key", ID), ("idempotency-key", ID)]);
        assert_eq!(twice.fields.to_string(), "Idempotency-Key: expected one value");
    }

    #[test]
    fn a_condition_is_one_strong_entity_tag() {
        assert_eq!(read(&[("if-match", "\"3\"")]).etag(String::new()), "3");
        assert_eq!(read(&[("if-match", "\"3\"")]).etag("3".to_owned()), "3");
        assert_eq!(read(&[("if-match", "*")]).etag("4".to_owned()), "4");
        assert_eq!(read(&[]).etag("4".to_owned()), "4");
        for bad in ["3", "W/\"3\"", "\"3\", \"4\"", "\"\""] {
            let change = read(&[("if-match", bad)]);
            assert_eq!(change.fields.violations()[0].field, "If-Match", "{bad:?}");
        }
        let mut differing = read(&[("if-match", "\"3\"")]);
        differing.etag("4".to_owned());
        assert_eq!(differing.fields.violations().len(), 1);
        let mut unread = read(&[("if-match", "\"3\"")]);
        unread.unconditional();
        assert_eq!(unread.fields.violations().len(), 1);
    }

    #[test]
    fn a_stale_condition_is_told_as_http_tells_it() {
        let stale = || {
            let code = tonic::Code::Aborted;
            service::refusal("organisation.usher", code, "ETAG_MISMATCH", "No.", &[], None)
        };
        assert_eq!(read(&[("if-match", "\"3\"")]).refused(stale()).status, 412);
        assert_eq!(read(&[]).refused(stale()).status, 409);
    }
}
