use askama::Template;
use axum::{
    extract::Request,
    http::{
        StatusCode,
        header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE},
    },
    middleware::Next,
    response::Response,
};

use super::page;
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "failure.html")]
struct Failure<'a> {
    heading: &'a str,
    detail: &'a str,
}

/// A middleware that shows problems to people: outside the paths for programs, and where the caller
/// takes HTML, a problem becomes a page with the same status and headers.
pub(crate) async fn speak(request: Request, next: Next) -> Response {
    let asks_for_page = is_for_people(request.uri().path()) && takes_html(&request);
    let response = next.run(request).await;
    match response.extensions().get::<Problem>().cloned() {
        Some(problem) if asks_for_page => shown(&problem, response),
        _ => response,
    }
}

fn is_for_people(path: &str) -> bool {
    !["/api", "/.well-known", "/assets"].iter().any(|programs| {
        path.strip_prefix(programs).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

fn takes_html(request: &Request) -> bool {
    let accepted = request.headers().get_all(ACCEPT).iter();
    accepted.filter_map(|value| value.to_str().ok()).any(|value| value.contains("text/html"))
}

fn shown(problem: &Problem, response: Response) -> Response {
    let heading = match problem.status {
        StatusCode::NOT_FOUND => "This page does not exist",
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => "Try again in a moment",
        StatusCode::GATEWAY_TIMEOUT => "That took too long",
        status if status.is_client_error() => "That did not work",
        _ => "Something went wrong",
    };
    let page = page(problem.status, &Failure { heading, detail: &problem.detail });
    let (parts, body) = page.into_parts();
    // `Retry-After` and `Allow` hold for a page as well.
    let mut response = response.map(|_| body);
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    if let Some(content_type) = parts.headers.get(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, content_type.clone());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_for_programs_never_answer_with_a_page() {
        for path in ["/api", "/api/me", "/.well-known/jwks.json", "/assets/x"] {
            assert!(!is_for_people(path), "{path}");
        }
        for path in ["/", "/apis", "/invitations/x", "/mailbox"] {
            assert!(is_for_people(path), "{path}");
        }
    }
}
