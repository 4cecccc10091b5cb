mod dkim;
mod smtp;
mod url;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use kernel::{Clock, Malformed, Time, Uuid};
use lettre::Message;
use mail_parser::MessageParser;
use serde::Serialize;

pub use dkim::{Dkim, DkimKey};
pub use smtp::{Smtp, SmtpMail, SmtpOffer};
pub use url::SmtpUrl;

use crate::Settings;

/// Where mail goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailUrl {
    /// `smtp://` or `smtps://`.
    Smtp(SmtpUrl),
    /// `mailbox:DIRECTORY`, for people to read in a browser. Embedded.
    Mailbox(PathBuf),
}

impl MailUrl {
    /// Parses a setting.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        if let Some(directory) = text.strip_prefix("mailbox:").filter(|path| !path.is_empty()) {
            return Ok(Self::Mailbox(directory.into()));
        }
        SmtpUrl::parse(text).map(Self::Smtp)
    }
}

/// The mail transport.
#[derive(Clone)]
pub enum Mail {
    /// A mail server.
    Smtp(Smtp),
    /// A folder that a browser can read.
    Mailbox(Mailbox),
}

/// Why a mail was not taken.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The server is away, or asks to try again (4xx).
    #[error("delayed: {0}")]
    Delayed(MailReply),
    /// The server did not answer in time.
    #[error("late: no answer to {0} in time")]
    Late(&'static str),
    /// The server refuses this mail for good (5xx).
    #[error("refused: {0}")]
    Refused(MailReply),
}

/// What a mail server answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailReply {
    /// RFC 5321, section 4.2; `None` if it did not answer.
    pub code: Option<u16>,
    /// Its words, or why there are none.
    pub words: String,
}

impl fmt::Display for MailReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl From<io::Error> for MailReply {
    fn from(error: io::Error) -> Self {
        Self { code: None, words: error.to_string() }
    }
}

impl Mail {
    /// Opens the transport. A server is connected when there is something to send, and as many
    /// connections as `mails_at_once` are kept for the next mails: those that only wait for a last answer
    /// come beside them, and need not be. What goes there is signed if there is a key.
    pub fn open(settings: &Settings, clock: &Clock) -> anyhow::Result<Self> {
        Ok(match &settings.smtp_url {
            MailUrl::Smtp(url) => {
                let (ca, dkim) = (settings.smtp_ca.clone(), settings.dkim.clone());
                Self::Smtp(Smtp::open(url, ca, dkim, settings.mails_at_once, clock)?)
            }
            MailUrl::Mailbox(directory) => Self::Mailbox(Mailbox::open(directory, clock.clone())?),
        })
    }

    /// Reaches the server, and begins a mail: nothing is said yet of whom it is for.
    pub async fn begin(&self, mail: Message) -> Result<Begun, MailError> {
        Ok(match self {
            Self::Smtp(smtp) => Begun::Smtp(Box::new(smtp.begin(&mail).await?)),
            Self::Mailbox(mailbox) => Begun::Mailbox(mailbox.clone(), mail),
        })
    }
}

/// A mail that has begun.
pub enum Begun {
    /// With a mail server.
    Smtp(Box<SmtpMail>),
    /// With a folder.
    Mailbox(Mailbox, Message),
}

impl Begun {
    /// Asks for the mail to be taken; what is broken off here has not gone out.
    pub async fn offer(self) -> Result<Offer, MailError> {
        Ok(match self {
            Self::Smtp(mail) => Offer::Smtp(Box::new(mail.offer().await?)),
            Self::Mailbox(mailbox, mail) => Offer::Mailbox(mailbox, mail),
        })
    }
}

/// A mail that is to be handed over next.
pub enum Offer {
    /// To a mail server that waits for it.
    Smtp(Box<SmtpOffer>),
    /// To a folder.
    Mailbox(Mailbox, Message),
}

impl Offer {
    /// Hands the mail over; `Ok` means that the server is now responsible for it. Whether what is broken
    /// off here has gone out nobody knows.
    pub async fn hand_over(self) -> Result<(), MailError> {
        match self {
            Self::Smtp(offer) => offer.hand_over().await,
            Self::Mailbox(mailbox, mail) => {
                mailbox.keep(&mail).map_err(|error| MailError::Delayed(error.into()))
            }
        }
    }
}

/// Mails as files in a folder, the newest thousand.
#[derive(Clone)]
pub struct Mailbox {
    directory: PathBuf,
    clock: Clock,
    writing: Arc<Mutex<()>>,
}

const KEPT: usize = 1_000;

/// A mail as a reader sees it.
#[derive(Clone, Debug, Serialize)]
pub struct MailboxEntry {
    /// Names the mail in this mailbox.
    pub id: String,
    /// The recipient's address.
    pub to: String,
    /// The sender's address.
    pub from: String,
    /// Decoded.
    pub subject: String,
    /// The plain-text part.
    pub text: String,
    /// The HTML part.
    pub html: String,
    /// When the mailbox took it.
    pub received_at: Time,
}

impl Mailbox {
    fn open(directory: &Path, clock: Clock) -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory)?;
        Ok(Self { directory: directory.to_owned(), clock, writing: Arc::default() })
    }

    fn keep(&self, mail: &Message) -> std::io::Result<()> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let id = self.clock.new_id();
        // Written beside and moved, so that a reader never sees half a mail.
        let half = self.directory.join(format!("{id}.half"));
        std::fs::write(&half, mail.formatted())?;
        std::fs::rename(half, self.directory.join(format!("{id}.eml")))?;
        let mails = self.mails()?;
        for id in mails.iter().rev().skip(KEPT) {
            std::fs::remove_file(self.directory.join(format!("{id}.eml")))?;
        }
        Ok(())
    }

    /// The mails, newest first, of one recipient or all; at most `limit`.
    pub fn list(&self, to: Option<&str>, limit: usize) -> std::io::Result<Vec<MailboxEntry>> {
        let mails = self.mails()?;
        let entries = mails.iter().rev().filter_map(|id| self.read(*id));
        Ok(entries.filter(|mail| to.is_none_or(|to| mail.to == to)).take(limit).collect())
    }

    /// One mail.
    pub fn read(&self, id: Uuid) -> Option<MailboxEntry> {
        let raw = std::fs::read(self.directory.join(format!("{id}.eml"))).ok()?;
        let mail = MessageParser::default().parse(&raw)?;
        let address = |address: Option<&mail_parser::Address<'_>>| {
            let first = address.and_then(|address| address.first());
            first.and_then(|first| first.address()).unwrap_or_default().to_owned()
        };
        let (seconds, nanoseconds) = id.get_timestamp()?.to_unix();
        Some(MailboxEntry {
            id: id.to_string(),
            to: address(mail.to()),
            from: address(mail.from()),
            subject: mail.subject().unwrap_or_default().to_owned(),
            // Mails end their lines with CRLF; readers and programs here do with LF.
            text: mail.body_text(0).unwrap_or_default().replace("\r\n", "\n"),
            html: mail.body_html(0).unwrap_or_default().replace("\r\n", "\n"),
            received_at: Time::from_timestamp(i64::try_from(seconds).ok()?, nanoseconds)?,
        })
    }

    /// The identifiers, oldest first (they are UUIDv7).
    fn mails(&self) -> std::io::Result<Vec<Uuid>> {
        let mut ids = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            if path.extension().is_some_and(|extension| extension == "eml") {
                ids.extend(stem.and_then(|stem| Uuid::parse_str(stem).ok()));
            }
        }
        ids.sort_unstable();
        Ok(ids)
    }
}
