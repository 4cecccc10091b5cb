//! What every service is made of: settings, telemetry, verified callers, errors on the wire, peers,
//! mail transport, and the one way to run.
//!
//! A service's `build(&Infra)` answers a [`Module`]; [`run`] serves modules until it is told to
//! stop. The command, the all-in-one and the tests all go this way.

mod attempts;
mod boundary;
mod caller;
pub mod deadline;
mod http;
mod http_boundary;
mod incoming;
mod infra;
mod keys;
mod mail;
mod management;
mod metrics;
mod module;
mod outboxes;
mod peers;
mod publish;
mod relay;
mod run;
mod settings;
mod status;
mod telemetry;
mod timer;
mod token;

pub use caller::{Caller, CallerKind};
pub use http_boundary::HttpBoundary;
pub use infra::{Infra, revoked_session};
pub use keys::Keys;
pub use mail::{
    Dkim, DkimKey, Mail, MailError, MailReply, MailUrl, Mailbox, MailboxEntry, Smtp, SmtpUrl,
};
pub use metrics::{Counter, Seconds};
pub use module::{Check, Chore, Consumer, Module};
pub use peers::{Auth, Peer, Peers};
pub use publish::{announce, publish, publish_each};
pub use run::{Listeners, run, stop_on_signal};
pub use settings::{Environment, LogFormat, RawSettings, Role, SETTINGS, Setting, Settings};
pub use status::{internal, invalid, refusal, unavailable};
pub use telemetry::{Telemetry, current_traceparent};
pub use timer::Timer;
pub use token::{Claims, LIFETIME_SECONDS, Signer, VerifyingKey};

pub use bus::{Message, Refusal};
