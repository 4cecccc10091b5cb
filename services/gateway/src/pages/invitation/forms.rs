//! The two forms that a link can lead to.

use super::link::Link;
use crate::{
    pages::{
        errors::{Errors, written},
        page,
    },
    problem::Problem,
};
use askama::Template;
use axum::{
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_SECURITY_POLICY, RETRY_AFTER},
    },
    response::Response,
};

#[derive(Template)]
#[template(path = "invitation/enrol.html")]
struct EnrolForm<'a> {
    link: &'a Link,
    display_name: &'a str,
    errors: Errors,
}

#[derive(Template)]
#[template(path = "invitation/sign_in.html")]
struct SignInForm<'a> {
    link: &'a Link,
    /// What to know before signing in; empty if nothing.
    notice: &'static str,
    errors: Errors,
}

/// The form for somebody who has no password yet. What was typed as a password is not in it.
pub(super) fn enrolment(
    status: StatusCode,
    link: &Link,
    display_name: &str,
    errors: Errors,
) -> Response {
    form(status, link, &EnrolForm { link, display_name, errors })
}

/// The form for somebody who has one.
pub(super) fn sign_in(status: StatusCode, link: &Link, errors: Errors) -> Response {
    form(status, link, &SignInForm { link, notice: "", errors })
}

/// The sign-in form for somebody who wanted to enrol but has enrolled before, perhaps a moment ago
/// in another window.
pub(super) fn sign_in_instead(link: &Link) -> Response {
    let notice = "You have an account already. Sign in with your password to accept.";
    form(StatusCode::CONFLICT, link, &SignInForm { link, notice, errors: Errors::default() })
}

/// A page whose form may lead to the application.
fn form(status: StatusCode, link: &Link, template: &impl Template) -> Response {
    let mut response = page(status, template);
    if let Some(Ok(policy)) = link.policy().map(HeaderValue::try_from) {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// The sign-in form after too many failures, with the time to try again.
pub(super) fn sign_in_later(link: &Link, problem: &Problem) -> Response {
    let seconds = problem.retry_after_seconds().unwrap_or(1);
    let mut errors = Errors::default();
    let wait = written(seconds);
    errors.add("password", format_args!("There were too many attempts. Try again in {wait}."));
    let mut response = sign_in(StatusCode::TOO_MANY_REQUESTS, link, errors);
    response.headers_mut().insert(RETRY_AFTER, seconds.into());
    response
}
