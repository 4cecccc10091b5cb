use axum::{
    extract::{Form as Pairs, FromRequest, Request},
    http::{HeaderMap, HeaderValue, StatusCode},
    response::IntoResponse as _,
};

use crate::problem::Problem;

/// A submitted form (`application/x-www-form-urlencoded`, what browsers send without JavaScript).
///
/// Errors: 403 for a form of another site, 415 for another content type, 413 for a body that is too large.
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// What was typed; empty if the form has no such field.
    pub fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(given, _)| given == name).map_or("", |(_, text)| text)
    }
}

/// Whether another site has sent it, as the browser says (Fetch Metadata): nobody is signed in or
/// made to invite by a page that is not ours.
fn is_foreign(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    site.is_some_and(|site| ![b"same-origin".as_slice(), b"none"].contains(&site))
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if is_foreign(request.headers()) {
            let detail = "This form was sent from another site.";
            return Err(Problem::new(StatusCode::FORBIDDEN, "FORM_FOREIGN", detail));
        }
        let rejection = match Pairs::from_request(request, state).await {
            Ok(Pairs(pairs)) => return Ok(Self(pairs)),
            Err(rejection) => rejection.into_response(),
        };
        Err(match rejection.status() {
            status @ StatusCode::PAYLOAD_TOO_LARGE => {
                Problem::new(status, "BODY_TOO_LARGE", "What was sent is larger than it may be.")
            }
            status @ StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                Problem::new(status, "CONTENT_TYPE_UNSUPPORTED", "What was sent is not a form.")
            }
            _ => Problem::malformed("The form cannot be read."),
        })
    }
}
