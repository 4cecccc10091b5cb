//! The mailer: it hears that a mail is due, about an invitation or an access request, and hands
//! exactly one to the mail server.
//!
//! - [`consumers`]: one event a file, each a story.
//! - [`attempt`]: one try at one mail: claim the delivery, fill the template, send, record.
//! - [`lanes`]: how many mails go to a domain at once.
//! - [`message`]: what goes over the wire.
//!
//! It has no tables: the notification service keeps the deliveries, and with them the memory that
//! makes an event that arrives twice one mail.

mod attempt;
mod consumers;
mod lanes;
mod message;
mod peers;
#[cfg(test)]
mod testing;

use std::sync::Arc;

use anyhow::Context as _;
use kernel::{Clock, EmailAddress};
use lanes::Lanes;
use service::{Infra, Mail, Module, Peers};

const NAME: &str = "mailer";

/// What every consumer works with.
struct Mailer {
    peers: Peers,
    mail: Mail,
    clock: Clock,
    from: EmailAddress,
    lanes: Arc<Lanes>,
}

/// The worker, ready to be run.
pub fn build(infra: &Infra) -> anyhow::Result<Module> {
    let mailer = Arc::new(Mailer {
        peers: infra.peers(NAME)?,
        mail: infra.mail.clone().context("the mailer needs a mail transport")?,
        clock: infra.clock.clone(),
        from: infra.settings.mail_from.clone(),
        lanes: Lanes::new(&infra.settings),
    });
    Ok(Module {
        consumers: vec![
            consumers::invitation_issued::consumer(mailer.clone()),
            consumers::access_request_mail::consumer(mailer.clone()),
            consumers::delivery_resent::consumer(mailer),
        ],
        ..Module::new(NAME)
    })
}
