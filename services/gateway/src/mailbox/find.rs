use axum::{Json, extract::State};
use serde::Serialize;
use service::{Mailbox, MailboxEntry};
use utoipa::ToSchema;

use super::{read::mails, recipient};
use crate::{
    input::{Query, accept},
    openapi::{Field, Operation},
    problem::Problem,
    timestamp::Stamp,
};

/// A mail that was sent.
#[derive(Serialize, ToSchema)]
pub(super) struct Mail {
    id: String,
    to: String,
    from: String,
    subject: String,
    text: String,
    html: String,
    received_at: Stamp,
}

/// `GET /api/mailbox?to=` → 200: the mails of one recipient, or all, newest first.
pub(super) async fn find(
    State(mailbox): State<Mailbox>,
    mut query: Query,
) -> Result<Json<Vec<Mail>>, Problem> {
    let to = query.text("to");
    accept([query.fields])?;
    let mails = mails(mailbox, recipient(to)).await?;
    Ok(Json(mails.into_iter().map(Mail::from).collect()))
}

impl From<MailboxEntry> for Mail {
    fn from(mail: MailboxEntry) -> Self {
        let MailboxEntry { id, to, from, subject, text, html, received_at } = mail;
        Self { id, to, from, subject, text, html, received_at: Stamp::of(&received_at) }
    }
}

pub(super) fn about() -> Operation {
    Operation::new("Read the mails that stay on this machine (embedded mode alone)", 200)
        .for_everybody()
        .query([Field::text("to", "Only those to this address.")])
        .answers_list::<Mail>()
        .refuses(421, &["HOST_UNKNOWN"])
}
