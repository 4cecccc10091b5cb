use askama::Template;
use axum::{extract::State, http::StatusCode, response::Response};
use service::{Mailbox, MailboxEntry};

use super::{read::mails, recipient};
use crate::{
    input::{Query, accept},
    pages::page,
    problem::Problem,
};

#[derive(Template)]
#[template(path = "mailbox/list.html")]
struct List {
    to: String,
    mails: Vec<MailboxEntry>,
}

/// `GET /mailbox?to=`: the mails, newest first.
pub(super) async fn list(
    State(mailbox): State<Mailbox>,
    mut query: Query,
) -> Result<Response, Problem> {
    let to = query.text("to");
    accept([query.fields])?;
    let mails = mails(mailbox, recipient(to.clone())).await?;
    Ok(page(StatusCode::OK, &List { to, mails }))
}
