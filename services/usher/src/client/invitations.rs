//! `usher invitations`: one, or many from a file.

mod create;
mod import;
mod list;
mod rows;
mod shown;

use std::path::PathBuf;

use api::organisation::v1::{
    ReissueInvitationRequest, RevokeInvitationRequest,
    invitation_service_client::InvitationServiceClient,
};
use clap::{Args, Subcommand, ValueEnum};

use super::{Options, output::Out, refusal::told, session::Session};

#[derive(Subcommand, Debug)]
pub enum InvitationsCommand {
    /// Invite everybody in a CSV file, and tell what became of each row.
    ///
    /// The first line names the columns: `email`, and any of `first_name`, `last_name`,
    /// `display_name`, `role` (several with spaces between; none means the organisation's default
    /// role), `institution`, `locale`, `application_id`, `personal_message`, `source_id`,
    /// `callback_url`, `membership_valid_from` and `membership_expires_at` (such as
    /// 2026-01-31T12:00:00Z) and `life_hours` (how long the link works, 1 to 2160).
    ///
    /// The whole file is read first: wrong lines are named with their columns, and then nothing is
    /// sent. Running it again is safe: who is invited already is told as `exists`. Ends with 1 if a row
    /// was refused.
    Import {
        /// The file.
        file: PathBuf,
        /// Invite into this organisation.
        #[arg(long, value_name = "ID")]
        organisation: String,
        /// Only tell what would become of each row.
        #[arg(long)]
        dry_run: bool,
        /// Write what became of each row to this CSV file too.
        #[arg(long, value_name = "FILE")]
        results: Option<PathBuf>,
    },
    /// Invite one person.
    Create(Box<Invitee>),
    /// Show an organisation's invitations, oldest first.
    List {
        /// Of this organisation.
        #[arg(long, value_name = "ID")]
        organisation: String,
        /// Those of the organisations below too.
        #[arg(long)]
        recursive: bool,
        /// Only those in this state.
        #[arg(long, value_enum)]
        state: Option<State>,
        /// Only those whose newest mail fares so.
        #[arg(long, value_enum)]
        delivery_state: Option<DeliveryState>,
        /// How many at most.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// Take a pending or expired invitation back.
    Revoke {
        /// The invitation.
        id: String,
    },
    /// Send a new link; the earlier one is dead.
    Reissue {
        /// The invitation.
        id: String,
    },
}

/// Where an invitation stands.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum State {
    Pending,
    Accepted,
    Declined,
    Revoked,
    Expired,
}

/// How the newest mail about an invitation fares.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum DeliveryState {
    /// It waits, or is on its way.
    Queued,
    /// The mail server took it.
    Sent,
    /// Given up for good.
    Failed,
    /// It came back.
    Bounced,
    /// Not to be sent.
    Suppressed,
}

/// Who is invited, and into what.
#[derive(Args, Debug)]
pub struct Invitee {
    /// Into this organisation.
    #[arg(long, value_name = "ID")]
    organisation: String,
    /// This address.
    #[arg(value_name = "ADDRESS")]
    invitee: String,
    /// A role to offer; may be given several times. None means the organisation's default role.
    #[arg(long)]
    role: Vec<String>,
    #[arg(long, default_value = "")]
    first_name: String,
    #[arg(long, default_value = "")]
    last_name: String,
    #[arg(long, default_value = "")]
    institution: String,
    /// The language of the mail, such as `en`.
    #[arg(long, default_value = "")]
    locale: String,
    /// The application that the person is invited for.
    #[arg(long, value_name = "ID", default_value = "")]
    application: String,
    /// What to say in the mail.
    #[arg(long, default_value = "")]
    message: String,
}

impl InvitationsCommand {
    pub(crate) async fn run(self, options: &Options, out: Out<'_>) -> anyhow::Result<()> {
        let import = match &self {
            // What is wrong with the file is told before anybody signs in.
            Self::Import { file, organisation, dry_run, results } => {
                let rows = rows::check(file, organisation)?;
                Some(import::Import {
                    file: file.clone(),
                    organisation: organisation.clone(),
                    dry_run: *dry_run,
                    results: results.clone(),
                    rows,
                    output: options.output,
                })
            }
            _ => None,
        };
        let mut session = Session::of(options)?;
        let outcome = match (self, import) {
            (_, Some(import)) => import.run(&mut session, out).await,
            (command, None) => command.ask(&mut session, options, out).await,
        };
        session.sign_out().await;
        outcome
    }

    async fn ask(
        self,
        session: &mut Session,
        options: &Options,
        out: Out<'_>,
    ) -> anyhow::Result<()> {
        let output = options.output;
        let mut client = InvitationServiceClient::new(session.organisation().await?);
        let found = match self {
            Self::Import { .. } => return Ok(()),
            Self::List { organisation, recursive, state, delivery_state, limit } => {
                let which = list::Which { organisation, recursive, state, delivery_state, limit };
                return list::list(session, which, output, out).await;
            }
            Self::Create(invitee) => create::create(client, *invitee).await?,
            Self::Revoke { id } => {
                let request = RevokeInvitationRequest { id, ..Default::default() };
                let answer = client.revoke_invitation(request).await.map_err(|it| told(&it))?;
                answer.into_inner().invitation
            }
            Self::Reissue { id } => {
                let request = ReissueInvitationRequest { id, ..Default::default() };
                let answer = client.reissue_invitation(request).await.map_err(|it| told(&it))?;
                answer.into_inner().invitation
            }
        };
        shown::one(found.unwrap_or_default(), output, out)
    }
}
