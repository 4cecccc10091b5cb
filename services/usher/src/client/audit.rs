//! `usher audit`: the history, and whether it is whole.

mod export;
mod line;
mod list;
mod verify;

use std::path::PathBuf;

use api::organisation::v1::AuditFilter;
use clap::{Args, Subcommand};
use kernel::Time;
use organisation::audit_chain::Head;

use super::{Options, output::Out, session::Session};

#[derive(Subcommand, Debug)]
pub enum AuditCommand {
    /// Show what happened and what was refused, newest first.
    List {
        #[command(flatten)]
        filter: Filter,
        /// How many at most.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// Print all records that match as JSON lines, oldest first: `usher audit export > history.jsonl`.
    Export {
        #[command(flatten)]
        filter: Filter,
    },
    /// Recompute the chain of hashes, and name the first record that was changed, removed or moved.
    ///
    /// It reads the whole history from the service, for which one needs `audit.read` at the platform,
    /// or a file that `usher audit export` wrote without a filter. It prints the head of the chain:
    /// note it down where nobody who can write the database can write, and give it to the next
    /// verification, which then also notices if the end was cut off or all of it written anew. Ends
    /// with 1 if the chain does not hold.
    Verify {
        /// The file to verify, instead of what the service holds.
        #[arg(long)]
        file: Option<PathBuf>,
        /// A head that was noted down earlier, as it was printed.
        #[arg(long, value_name = "SEQUENCE:HASH")]
        head: Option<Head>,
    },
}

/// Which records.
#[derive(Args, Clone, Debug)]
pub struct Filter {
    /// At this organisation and below it.
    #[arg(long, value_name = "ID")]
    organisation: Option<String>,
    /// Of this user or service account.
    #[arg(long, value_name = "ID")]
    actor: Option<String>,
    /// Such as invitations.create, or `invitations.` for all of its verbs.
    #[arg(long)]
    action: Option<String>,
    /// Only what was refused.
    #[arg(long)]
    refused: bool,
    /// From this moment on, such as 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<Time>,
    /// Before this moment.
    #[arg(long, value_name = "TIME")]
    until: Option<Time>,
}

impl From<Filter> for AuditFilter {
    fn from(filter: Filter) -> Self {
        let Filter { organisation, actor, action, refused, since, until } = filter;
        Self {
            organisation_id: organisation.unwrap_or_default(),
            actor_id: actor.unwrap_or_default(),
            action: action.unwrap_or_default(),
            refused,
            from: since.map(api::timestamp),
            until: until.map(api::timestamp),
            ..Default::default()
        }
    }
}

impl AuditCommand {
    pub(crate) async fn run(self, options: &Options, out: Out<'_>) -> anyhow::Result<()> {
        if let Self::Verify { file: Some(file), head } = self {
            return verify::file(&file, head, options.output, out);
        }
        let mut session = Session::of(options)?;
        let outcome = match self {
            Self::List { filter, limit } => {
                list::list(&mut session, filter.into(), limit, options.output, out).await
            }
            Self::Export { filter } => export::export(&mut session, filter.into(), out).await,
            Self::Verify { file: _, head } => {
                verify::server(&mut session, head, options.output, out).await
            }
        };
        session.sign_out().await;
        out.flush()?;
        outcome
    }
}
