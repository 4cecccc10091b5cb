//! The client verbs: what an operator asks of running services, over gRPC alone.
//!
//! Tables are for people and `--output json` is for programs; progress goes to the terminal alone.
//! A refusal is told with its documented reason.

mod audit;
mod credentials;
mod dead_letters;
mod deliveries;
mod invitations;
mod outbox;
mod output;
mod refusal;
mod senders;
mod session;
mod templates;

pub use self::{
    audit::AuditCommand, credentials::UsageError, dead_letters::DeadLettersCommand,
    deliveries::DeliveriesCommand, invitations::InvitationsCommand, outbox::OutboxCommand,
    output::Output, senders::SendersCommand, templates::TemplatesCommand,
};

use clap::Args;

/// Where the services are, in whose name they are asked, and how answers are printed.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The organisation service.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "USHER_ORGANISATION_URL",
        default_value = "http://127.0.0.1:50052"
    )]
    server: String,
    /// The identity service, where one signs in.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "USHER_IDENTITY_URL",
        default_value = "http://127.0.0.1:50051"
    )]
    identity: String,
    /// The notification service.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "USHER_NOTIFICATION_URL",
        default_value = "http://127.0.0.1:50053"
    )]
    notification: String,
    /// Sign in as this person; the password is in USHER_PASSWORD, or asked for.
    #[arg(long, global = true, value_name = "ADDRESS", conflicts_with = "account")]
    email: Option<String>,
    /// Use this service account; its secret is in USHER_ACCOUNT_SECRET, or in the file that
    /// USHER_ACCOUNT_SECRET_FILE names.
    #[arg(long, global = true, value_name = "NAME")]
    account: Option<String>,
    /// How answers are printed.
    #[arg(long, global = true, value_enum, default_value_t = Output::Table)]
    output: Output,
}
