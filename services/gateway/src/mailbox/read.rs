use std::io;

use service::{Mailbox, MailboxEntry};
use tokio::task::{JoinError, spawn_blocking};

use super::LIMIT;
use crate::problem::Problem;

/// The mails of one recipient, or all, newest first. Files are read off the async threads.
pub(super) async fn mails(
    mailbox: Mailbox,
    to: Option<String>,
) -> Result<Vec<MailboxEntry>, Problem> {
    let listed = spawn_blocking(move || mailbox.list(to.as_deref(), LIMIT)).await;
    listed.map_err(ended)?.map_err(unreadable)
}

/// One mail, if there is one.
pub(super) async fn mail(mailbox: Mailbox, id: kernel::Uuid) -> Result<MailboxEntry, Problem> {
    let read = spawn_blocking(move || mailbox.read(id)).await;
    read.map_err(ended)?.ok_or_else(Problem::path_unknown)
}

fn unreadable(error: io::Error) -> Problem {
    tracing::error!(%error, "the mailbox cannot be read");
    Problem::internal()
}

fn ended(_: JoinError) -> Problem {
    tracing::error!("reading the mailbox ended early");
    Problem::internal()
}
