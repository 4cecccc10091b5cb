//! `usher senders`: whom mails come from.

use api::notification::v1::{
    DeleteSenderRequest, GetSenderRequest, Origin, Sender, UpdateSenderRequest,
    sender_service_client::SenderServiceClient,
};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{
    Options,
    output::{Out, Output, json, plain},
    refusal::told,
    session::Session,
    templates::origin,
};

#[derive(Subcommand, Debug)]
pub enum SendersCommand {
    /// Show whom the mails of an organisation come from, and who says so.
    Show {
        #[command(flatten)]
        at: At,
    },
    /// Say whom the mails of an organisation and all below it come from.
    ///
    /// All of it is replaced: what is left out is the platform's.
    Set {
        #[command(flatten)]
        at: At,
        /// The name, as people read it.
        #[arg(long)]
        name: String,
        /// The address that mails come from; its domain is one of the setting mail_sender_domains.
        #[arg(long, value_name = "ADDRESS", default_value = "")]
        from: String,
        /// Where answers go.
        #[arg(long, value_name = "ADDRESS", default_value = "")]
        reply_to: String,
        /// Only if the sender is still this one, of `show --output json`.
        #[arg(long, default_value = "")]
        etag: String,
    },
    /// Take that back: what is inherited applies again.
    Delete {
        #[command(flatten)]
        at: At,
        /// Only if the sender is still this one, of `show --output json`.
        #[arg(long, default_value = "")]
        etag: String,
    },
}

/// Where.
#[derive(Args, Debug)]
pub struct At {
    /// At this organisation; 00000000-0000-0000-0000-000000000000 is the platform.
    #[arg(long, value_name = "ID")]
    organisation: String,
}

impl SendersCommand {
    pub(crate) async fn run(self, options: &Options, out: Out<'_>) -> anyhow::Result<()> {
        let mut session = Session::of(options)?;
        let outcome = self.ask(&mut session, options.output, out).await;
        session.sign_out().await;
        out.flush()?;
        outcome
    }

    async fn ask(self, session: &mut Session, output: Output, out: Out<'_>) -> anyhow::Result<()> {
        let mut client = SenderServiceClient::new(session.notification().await?);
        let shown = match self {
            Self::Show { at } => {
                let request = GetSenderRequest { organisation_id: at.organisation };
                let answer = client.get_sender(request).await.map_err(|it| told(&it))?.into_inner();
                let from = origin(answer.origin());
                Shown::new(answer.sender, from, answer.organisation_id, answer.etag)
            }
            Self::Set { at, name, from, reply_to, etag } => {
                let sender = Sender { display_name: name, reply_to, from_address: from };
                let request = UpdateSenderRequest {
                    organisation_id: at.organisation.clone(),
                    sender: Some(sender),
                    etag,
                };
                let answer = client.update_sender(request).await.map_err(|it| told(&it))?;
                let answer = answer.into_inner();
                let is_platform = at.organisation == kernel::Uuid::nil().to_string();
                let from = if is_platform { Origin::Platform } else { Origin::Organisation };
                Shown::new(answer.sender, origin(from), at.organisation, answer.etag)
            }
            Self::Delete { at, etag } => {
                let request = DeleteSenderRequest { organisation_id: at.organisation, etag };
                client.delete_sender(request).await.map_err(|it| told(&it))?;
                return Ok(writeln!(out, "what is inherited applies again")?);
            }
        };
        shown.print(output, out)
    }
}

#[derive(Serialize)]
struct Shown {
    display_name: String,
    from_address: String,
    reply_to: String,
    origin: String,
    organisation_id: String,
    etag: String,
}

impl Shown {
    fn new(sender: Option<Sender>, origin: String, organisation_id: String, etag: String) -> Self {
        let Sender { display_name, reply_to, from_address } = sender.unwrap_or_default();
        Self { display_name, from_address, reply_to, origin, organisation_id, etag }
    }

    fn print(&self, output: Output, out: Out<'_>) -> anyhow::Result<()> {
        if output == Output::Json {
            return Ok(json(out, self)?);
        }
        let or = |text: &str, other: &str| if text.is_empty() { other } else { text }.to_owned();
        for (name, value) in [
            ("name", self.display_name.clone()),
            ("from", or(&self.from_address, "the platform's address")),
            ("reply to", or(&self.reply_to, "the sender")),
            ("says", self.origin.clone()),
            ("organisation", self.organisation_id.clone()),
        ] {
            if !value.is_empty() {
                writeln!(out, "{name:<12}  {}", plain(&value))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_says_is_the_platforms() {
        let sender = Sender { display_name: "Usher".to_owned(), ..Default::default() };
        let built_in = origin(Origin::BuiltIn);
        let mut out = Vec::new();
        let shown = Shown::new(Some(sender), built_in, String::new(), String::new());
        shown.print(Output::Table, &mut out).unwrap();
        let expected = "\
name          Usher
from          the platform's address
reply to      the sender
says          built-in
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
