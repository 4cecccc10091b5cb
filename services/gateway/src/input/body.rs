use axum::{
    body::Bytes,
    extract::{FromRequest, Request, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
};
use kernel::Fields;
use prost_types::Timestamp;
use serde_json::{Map, Value};

use super::{Words, parse_word};
use crate::{problem::Problem, timestamp::parse_stamp};

/// The JSON object in a request's body. Members that nobody asks for are ignored.
///
/// Errors: 415 for another content type, 413 for a body that is too large, 400 `BODY_MALFORMED` for
/// what is no JSON object; a member of the wrong type is noted among the [`Fields`].
pub(crate) struct Object {
    members: Map<String, Value>,
    /// Where this object is in the body: empty, or such as `checks[1].`.
    path: String,
    pub fields: Fields,
}

impl Object {
    fn parse(body: &[u8]) -> Result<Self, Problem> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => {
                Ok(Self { members, path: String::new(), fields: Fields::default() })
            }
            Ok(_) => Err(Problem::malformed("The body is not a JSON object.")),
            Err(error) => Err(Problem::malformed(format!(
                "The body is not JSON: line {}, column {}.",
                error.line(),
                error.column()
            ))),
        }
    }

    /// A text; empty if it is left out or null. Whether it may be empty, and what else it must be,
    /// is for the service that owns the data to say: it says it of all fields at once.
    pub fn text(&mut self, name: &str) -> String {
        self.read(name, "a text", |value| match value {
            Value::String(text) => Some(text),
            _ => None,
        })
    }

    /// Texts; none if they are left out or null.
    pub fn texts(&mut self, name: &str) -> Vec<String> {
        self.read(name, "a list of texts", |value| serde_json::from_value(value).ok())
    }

    /// Yes or no; no if it is left out or null.
    pub fn flag(&mut self, name: &str) -> bool {
        self.read(name, "true or false", |value| value.as_bool())
    }

    /// A whole number; 0 if it is left out or null.
    pub fn number(&mut self, name: &str) -> i64 {
        self.read(name, "a whole number", |value| value.as_i64())
    }

    /// A moment; nothing if it is left out or null.
    pub fn time(&mut self, name: &str) -> Option<Timestamp> {
        let text = self.text(name);
        if text.is_empty() {
            return None;
        }
        self.fields.read(format!("{}{name}", self.path), parse_stamp(&text))
    }

    /// One of a few words; the default if it is left out or null.
    pub fn one_of<T: Copy + Default>(&mut self, name: &str, words: &Words<T>) -> T {
        let text = self.text(name);
        if text.is_empty() {
            return T::default();
        }
        self.fields
            .read(format!("{}{name}", self.path), parse_word(&text, words))
            .unwrap_or_default()
    }

    /// An object in this one; nothing if it is left out or null.
    pub fn object<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        let members = self.read(name, "an object", |value| match value {
            Value::Object(members) => Some(Some(members)),
            _ => None,
        });
        members.map(|members| self.within(members, format!("{}{name}.", self.path), read))
    }

    /// Objects in this one; none if they are left out or null.
    pub fn objects<T>(&mut self, name: &str, read: impl Fn(&mut Self) -> T) -> Vec<T> {
        let listed: Vec<Map<String, Value>> =
            self.read(name, "a list of objects", |value| serde_json::from_value(value).ok());
        let paths = (0..).map(|index| format!("{}{name}[{index}].", self.path)).take(listed.len());
        let paths: Vec<_> = paths.collect();
        let listed = listed.into_iter().zip(paths);
        listed.map(|(members, path)| self.within(members, path, &read)).collect()
    }

    /// Which of these are here, `null` among them: what a PATCH changes (RFC 7396).
    pub fn given(&self, names: &[&str]) -> Vec<String> {
        let given = names.iter().filter(|name| self.members.contains_key(**name));
        given.map(|name| (*name).to_owned()).collect()
    }

    /// As [`Object::given`], for a PATCH that must change something.
    pub fn changes(&mut self, names: &[&str]) -> Vec<String> {
        let given = self.given(names);
        if given.is_empty() {
            let what = names.join(", ");
            self.fields.reject("body", format_args!("expected at least one of {what}"));
        }
        given
    }

    /// Notes that a member whose change is one of its own came together with others, or is null.
    pub fn alone(&mut self, name: &str, others: &[&str]) {
        if self.members.get(name).is_none_or(Value::is_null) {
            self.fields.reject(name, "expected a value");
        }
        if !self.given(others).is_empty() {
            self.fields.reject(name, "expected without other members: it is a change of its own");
        }
    }

    fn read<T: Default>(
        &mut self,
        name: &str,
        expected: &str,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> T {
        let value = self.members.remove(name).unwrap_or_default();
        if value.is_null() {
            return T::default();
        }
        read(value).unwrap_or_else(|| {
            let field = format!("{}{name}", self.path);
            self.fields.reject(field, format_args!("expected {expected}"));
            T::default()
        })
    }

    fn within<T>(
        &mut self,
        members: Map<String, Value>,
        path: String,
        read: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let mut inner = Self { members, path, fields: std::mem::take(&mut self.fields) };
        let value = read(&mut inner);
        self.fields = inner.fields;
        value
    }
}

impl<S: Send + Sync> FromRequest<S> for Object {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let content_type = content_type(request.headers());
        if content_type != "application/json" {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "CONTENT_TYPE_UNSUPPORTED",
                "The body must be JSON, with the content type application/json.",
            ));
        }
        Self::parse(&Bytes::from_request(request, state).await?)
    }
}

/// The content type in lower case, without its parameters; empty if there is none.
fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "BODY_TOO_LARGE",
                "The body is larger than it may be.",
            ),
            _ => Self::malformed("The body ended too early."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_of_a_wrong_type_is_named() {
        let mut object =
            Object::parse(br#"{"email":7,"role":["user"],"x":{},"locale":null}"#).unwrap();
        let read = ["email", "role", "locale", "organisation_id"].map(|name| object.text(name));
        assert_eq!(read, [""; 4]);
        let named: Vec<_> = object.fields.violations().iter().map(|v| v.field.as_str()).collect();
        assert_eq!(named, ["email", "role"]);
    }

    #[test]
    fn what_is_in_an_object_is_named_by_its_path() {
        let body = br#"{"checks":[{"id":"a"},{"id":7}],"policy":{"days":"x","at":"soon","on":1}}"#;
        let mut object = Object::parse(body).unwrap();
        assert_eq!(object.objects("checks", |check| check.text("id")), ["a", ""]);
        let policy = object.object("policy", |policy| {
            (policy.number("days"), policy.time("at"), policy.flag("on"))
        });
        assert_eq!(policy, Some((0, None, false)));
        assert_eq!(
            object.fields.to_string(),
            "checks[1].id: expected a text; policy.days: expected a whole number; policy.at: \
             expected a moment such as 2024-05-28T16:12:10.831Z; policy.on: expected true or false"
        );
    }

    #[test]
    fn a_change_names_what_is_there_and_null_is_there() {
        let mut object = Object::parse(br#"{"expires_at":null,"roles":["user"]}"#).unwrap();
        assert_eq!(object.changes(&["roles", "valid_from", "expires_at"]), ["roles", "expires_at"]);
        object.alone("expires_at", &[]);
        object.alone("roles", &["expires_at"]);
        assert!(object.changes(&["etag"]).is_empty());
        assert_eq!((object.time("expires_at"), object.texts("roles")), (None, vec!["user".into()]));
        let named: Vec<_> = object.fields.violations().iter().map(|v| v.field.as_str()).collect();
        assert_eq!(named, ["expires_at", "roles", "body"]);
    }

    #[test]
    fn what_is_no_json_object_is_refused() {
        let deep = "[".repeat(100_000);
        for bad in
            ["", "{", "[]", "\"a\"", "{\"a\":\"\\ud800\"}", "{\"a\":1}x", "\u{feff}{}", &deep]
        {
            let problem = Object::parse(bad.as_bytes()).err().unwrap();
            assert_eq!(problem.reason, "BODY_MALFORMED", "{bad:.20}");
        }
        assert!(Object::parse(b"{\"a\":\"\xff\"}").is_err());
    }
}
