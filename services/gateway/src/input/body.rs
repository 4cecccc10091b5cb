use axum::{
    body::Bytes,
    extract::{FromRequest, Request, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
};
use kernel::Fields;
use serde_json::{Map, Value};

use crate::problem::Problem;

/// The JSON object in a request's body. Members that nobody asks for are ignored.
///
/// Errors: 415 for another content type, 413 for a body that is too large, 400 `BODY_MALFORMED` for
/// what is no JSON object; a member of the wrong type is noted among the [`Fields`].
pub(crate) struct Object {
    members: Map<String, Value>,
    pub fields: Fields,
}

impl Object {
    fn parse(body: &[u8]) -> Result<Self, Problem> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => Ok(Self { members, fields: Fields::default() }),
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
        match self.members.remove(name) {
            Some(Value::String(text)) => text,
            None | Some(Value::Null) => String::new(),
            Some(_) => {
                self.fields.reject(name, "expected a text");
                String::new()
            }
        }
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
