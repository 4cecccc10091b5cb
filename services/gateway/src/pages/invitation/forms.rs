//! The two forms that a link can lead to.

use askama::Template;
use axum::{
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_SECURITY_POLICY, RETRY_AFTER},
    },
    response::Response,
};
use kernel::Fields;

use super::link::Link;
use crate::{pages::page, problem::Problem};

/// What is wrong with a form: a sentence for each wrong field.
#[derive(Default)]
pub(super) struct Errors(Fields);

impl Errors {
    pub fn add(&mut self, field: &str, sentence: impl std::fmt::Display) {
        self.0.reject(field, sentence);
    }

    pub fn is_empty(&self) -> bool {
        self.0.violations().is_empty()
    }

    /// All of them, as field and sentence, for the summary.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.violations().iter().map(|error| (error.field.as_str(), error.description.as_str()))
    }

    /// The first of one field, to stand beside it.
    pub fn of(&self, field: &str) -> Option<&str> {
        self.all().find(|(wrong, _)| *wrong == field).map(|(_, sentence)| sentence)
    }
}

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

/// A wait in words, never shorter than it is.
fn written(seconds: u64) -> String {
    match seconds {
        0..=1 => "a second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        60 => "a minute".to_owned(),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_never_told_shorter_than_it_is() {
        let waits = [1, 2, 59, 60, 61, 3_600].map(written);
        let told = ["a second", "2 seconds", "59 seconds", "a minute", "2 minutes", "60 minutes"];
        assert_eq!(waits, told);
    }
}
