use askama::Template;
use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use tonic::Status;

use crate::{pages::page, problem::Problem};

/// Why a link leads no further.
#[derive(Debug)]
pub(super) enum Stop {
    /// It cannot be used, and never will again.
    DeadEnd(DeadEnd),
    /// Something failed; the link is as it was.
    Failed(Box<Problem>),
    /// What was typed does not do: the form again.
    Form(Box<Response>),
}

/// Each has a page of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeadEnd {
    /// Malformed, unknown, or replaced by a newer one.
    Invalid,
    /// Accepted already.
    Used,
    /// Its time is over.
    Expired,
    /// Taken back.
    Revoked,
    /// The invitee declined.
    Declined,
    /// Whoever invited may no longer offer this.
    Withdrawn,
    /// The organisation no longer takes it.
    Closed,
    /// The invitee's account is suspended or disposed.
    AccountUnusable,
}

impl DeadEnd {
    /// That of a documented reason.
    pub fn of(reason: &str) -> Option<Self> {
        Some(match reason {
            "LINK_INVALID" | "INVITATION_NOT_FOUND" => Self::Invalid,
            "LINK_USED" | "INVITATION_ACCEPTED" => Self::Used,
            "LINK_EXPIRED" | "INVITATION_EXPIRED" => Self::Expired,
            "LINK_REVOKED" | "INVITATION_REVOKED" => Self::Revoked,
            "INVITATION_DECLINED" => Self::Declined,
            "INVITER_LOST_RIGHT" => Self::Withdrawn,
            "ORGANISATION_ARCHIVED" | "DOMAIN_NOT_ALLOWED" => Self::Closed,
            "ACCOUNT_UNUSABLE" => Self::AccountUnusable,
            _ => return None,
        })
    }

    /// 404 for what is no link of ours, 410 for what was one.
    fn status(self) -> StatusCode {
        match self {
            Self::Invalid => StatusCode::NOT_FOUND,
            Self::AccountUnusable => StatusCode::FORBIDDEN,
            _ => StatusCode::GONE,
        }
    }

    fn page(self) -> DeadEndPage {
        let (heading, what, next) = match self {
            Self::Invalid => (
                "This link is not valid",
                "It may have been cut off when it was copied, or a newer mail has replaced it.",
                "Open the link in the newest mail that you have. If that does not help, ask the \
                 person who invited you to send the invitation again.",
            ),
            Self::Used => (
                "This invitation has been accepted",
                "The link has done its work: there is nothing left to do here.",
                "Sign in with your address at your application.",
            ),
            Self::Expired => (
                "This invitation has expired",
                "For your safety an invitation can be accepted for a limited time only.",
                "Ask the person who invited you to send it again: you will get a new mail.",
            ),
            Self::Revoked => (
                "This invitation was taken back",
                "The people who sent it no longer offer it.",
                "If you think that this is a mistake, ask the person who invited you.",
            ),
            Self::Declined => (
                "This invitation was declined",
                "You have said that you do not want to join.",
                "If you have changed your mind, ask the person who invited you for a new one.",
            ),
            Self::Withdrawn => (
                "This invitation can no longer be accepted",
                "Whoever sent it may no longer invite people with these rights.",
                "Ask somebody who manages the organisation to invite you again.",
            ),
            Self::Closed => (
                "This invitation can no longer be accepted",
                "The organisation has closed, or now takes certain addresses alone.",
                "If you think that this is a mistake, ask the person who invited you.",
            ),
            Self::AccountUnusable => (
                "This account cannot be used",
                "The account of the invited address is locked or was removed.",
                "Ask somebody who manages the organisation for help.",
            ),
        };
        DeadEndPage { heading, what, next }
    }
}

#[derive(Template)]
#[template(path = "invitation/dead_end.html")]
struct DeadEndPage {
    heading: &'static str,
    what: &'static str,
    next: &'static str,
}

impl From<DeadEnd> for Stop {
    fn from(end: DeadEnd) -> Self {
        Self::DeadEnd(end)
    }
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        if let Some(end) = DeadEnd::of(&problem.reason) {
            return Self::DeadEnd(end);
        }
        // The person has shown a link and perhaps a password, both good: that a service wants
        // other rights is a fault of ours.
        if matches!(problem.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            tracing::error!(reason = %problem.reason, "a link's own steps were refused");
            return Self::Failed(Box::new(Problem::internal()));
        }
        Self::Failed(Box::new(problem))
    }
}

impl From<Response> for Stop {
    fn from(form: Response) -> Self {
        Self::Form(Box::new(form))
    }
}

impl From<Status> for Stop {
    fn from(status: Status) -> Self {
        Problem::from(status).into()
    }
}

impl IntoResponse for Stop {
    fn into_response(self) -> Response {
        match self {
            Self::DeadEnd(end) => page(end.status(), &end.page()),
            Self::Failed(problem) => problem.into_response(),
            Self::Form(form) => *form,
        }
    }
}
