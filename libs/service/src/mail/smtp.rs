//! Mail over SMTP: sessions that are kept for the next mail, and how long each answer may take.
//!
//! lettre speaks the protocol, but of its asynchronous transport only the connecting is bounded. And a
//! mail that is given up half way puts its connection back into lettre's pool, where the next mail
//! takes the late answers to this one for its own: it would count as sent without having been. So the
//! sessions are kept here, and one that is not known to be at its beginning is dropped.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use kernel::Clock;
use lettre::{
    Message,
    address::Envelope,
    transport::smtp::{
        self,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, Certificate, TlsParameters, TlsParametersBuilder},
        commands::{Data, Mail, Rcpt, Rset},
        extension::{ClientId, Extension, MailBodyParameter, MailParameter},
        response::Severity,
    },
};
use secrecy::ExposeSecret as _;
use tokio::time::{Instant, interval, timeout};

use super::{
    Dkim, MailError, MailReply,
    url::{Security, SmtpUrl},
};

/// How long a connection to one of the server's addresses may take.
const CONNECTING: Duration = Duration::from_secs(30);
/// How long each answer may take: what RFC 5321, section 4.5.3.2, asks a client to wait at least. It
/// gives no figures for EHLO, STARTTLS and AUTH.
mod patience {
    use std::time::Duration;

    const MINUTE: u64 = 60;
    /// Connecting, the greeting (5 min) and the answer to EHLO.
    pub(super) const GREETING: Duration = Duration::from_secs(6 * MINUTE);
    pub(super) const STARTTLS: Duration = Duration::from_secs(2 * MINUTE);
    pub(super) const AUTH: Duration = Duration::from_secs(2 * MINUTE);
    pub(super) const MAIL: Duration = Duration::from_secs(5 * MINUTE);
    pub(super) const RCPT: Duration = Duration::from_secs(5 * MINUTE);
    pub(super) const DATA: Duration = Duration::from_secs(2 * MINUTE);
    /// The mail goes out in one block (3 min), and then the server answers the final dot (10 min).
    pub(super) const MESSAGE: Duration = Duration::from_secs(13 * MINUTE);
}

/// How long a connection is kept without a mail.
const IDLE: Duration = Duration::from_secs(60);
/// What saying goodbye may take.
const GOODBYE: Duration = Duration::from_secs(5);

/// A mail server. Clones share its connections.
#[derive(Clone)]
pub struct Smtp {
    server: Arc<Server>,
    kept: Arc<Mutex<VecDeque<Kept>>>,
    /// How many connections are kept.
    most: usize,
}

/// A mail that has begun.
pub struct SmtpMail {
    smtp: Smtp,
    session: AsyncSmtpConnection,
    envelope: Envelope,
    raw: Vec<u8>,
}

/// A mail that the server waits for.
pub struct SmtpOffer(SmtpMail);

struct Server {
    url: SmtpUrl,
    dkim: Option<Arc<Dkim>>,
    clock: Clock,
    tls: TlsParameters,
    name: ClientId,
}

struct Kept {
    session: AsyncSmtpConnection,
    since: Instant,
}

/// Why a command was not done.
enum Fault {
    /// There was an answer, or what came was none.
    Answered(smtp::Error),
    /// There was none in time.
    Late(&'static str),
    /// There was one that answers something else.
    OutOfTurn,
}

impl Smtp {
    /// Needs a runtime: connections that nobody uses are closed in the background.
    pub(super) fn open(
        url: &SmtpUrl,
        ca: Option<Certificate>,
        dkim: Option<Arc<Dkim>>,
        most: usize,
        clock: &Clock,
    ) -> anyhow::Result<Self> {
        let tls = TlsParameters::builder(url.host.clone());
        let tls = ca.into_iter().fold(tls, TlsParametersBuilder::add_root_certificate).build()?;
        let (url, clock) = (url.clone(), clock.clone());
        let server = Server { url, dkim, clock, tls, name: ClientId::default() };
        let smtp = Self { server: Arc::new(server), kept: Arc::default(), most };
        tokio::spawn(close_unused(Arc::downgrade(&smtp.kept)));
        Ok(smtp)
    }

    /// Reaches the server, over a connection that is kept or a new one, and begins a mail: MAIL, the first
    /// of four round trips. One that was kept may have ended meanwhile, which shows here.
    ///
    /// What the server says about this mail is final if it says so (5xx to MAIL, RCPT, DATA or the
    /// mail); that it does not let us in (its greeting, STARTTLS, AUTH, 530) is not about the mail.
    pub(super) async fn begin(&self, mail: &Message) -> Result<SmtpMail, MailError> {
        let (envelope, raw) = (mail.envelope().clone(), self.signed(mail));
        while let Some(mut session) = self.take() {
            match introduce(&mut session, &envelope, &raw).await? {
                Ok(()) => return Ok(SmtpMail { smtp: self.clone(), session, envelope, raw }),
                Err(Fault::Answered(error)) if has_ended(&error) => {}
                Err(fault) => return Err(self.give_up(session, fault).await),
            }
        }
        let mut session = self.dial().await.map_err(Fault::about_the_server)?;
        match introduce(&mut session, &envelope, &raw).await? {
            Ok(()) => Ok(SmtpMail { smtp: self.clone(), session, envelope, raw }),
            Err(fault) => Err(self.give_up(session, fault).await),
        }
    }

    /// Leaves the session at its beginning for the next mail, if it goes on.
    async fn give_up(&self, mut session: AsyncSmtpConnection, fault: Fault) -> MailError {
        if is_at_rest(&fault) && ask(patience::MAIL, "RSET", session.command(Rset)).await.is_ok() {
            self.keep(session);
        }
        fault.about_the_mail()
    }

    /// A mail as it goes over the wire. Its author is the sender in its envelope.
    fn signed(&self, mail: &Message) -> Vec<u8> {
        let Server { dkim, clock, .. } = &*self.server;
        let raw = mail.formatted();
        match (dkim, mail.envelope().from()) {
            (Some(dkim), Some(author)) => dkim.sign(raw, author.domain(), clock.now()),
            _ => raw,
        }
    }

    async fn dial(&self) -> Result<AsyncSmtpConnection, Fault> {
        let Server { url, tls, name, .. } = &*self.server;
        let wrapped = (url.security == Security::Tls).then(|| tls.clone());
        let address = (url.host.as_str(), url.port);
        let connecting =
            AsyncSmtpConnection::connect_tokio1(address, Some(CONNECTING), name, wrapped, None);
        let mut session = ask(patience::GREETING, "its greeting", connecting).await?;
        let upgrades = match url.security {
            Security::Tls | Security::None => false,
            Security::StartTls => true,
            Security::Opportunistic => session.can_starttls(),
        };
        if upgrades {
            ask(patience::STARTTLS, "STARTTLS", session.starttls(tls.clone(), name)).await?;
        }
        if let Some((user, password)) = &url.account {
            let account = Credentials::new(user.clone(), password.expose_secret().to_owned());
            ask(patience::AUTH, "AUTH", session.auth(DEFAULT_MECHANISMS, &account)).await?;
        }
        Ok(session)
    }

    fn take(&self) -> Option<AsyncSmtpConnection> {
        lock(&self.kept).pop_back().map(|kept| kept.session)
    }

    fn keep(&self, session: AsyncSmtpConnection) {
        let mut kept = lock(&self.kept);
        kept.push_back(Kept { session, since: Instant::now() });
        let over = (kept.len() > self.most).then(|| kept.pop_front()).flatten();
        drop(kept);
        if let Some(over) = over {
            tokio::spawn(close(over.session));
        }
    }
}

impl SmtpMail {
    /// Asks for the mail to be taken: RCPT and DATA.
    pub(super) async fn offer(mut self) -> Result<SmtpOffer, MailError> {
        match address(&mut self.session, &self.envelope).await {
            Ok(()) => Ok(SmtpOffer(self)),
            Err(fault) => Err(self.smtp.give_up(self.session, fault).await),
        }
    }
}

impl SmtpOffer {
    /// Hands the mail over: the last round trip.
    pub(super) async fn hand_over(self) -> Result<(), MailError> {
        let SmtpMail { smtp, mut session, raw, .. } = self.0;
        match ask(patience::MESSAGE, "the mail", session.command(Stuffed(&raw))).await {
            Ok(taken) if taken.code().severity == Severity::PositiveCompletion => {
                smtp.keep(session);
                Ok(())
            }
            Ok(_) => Err(Fault::OutOfTurn.about_the_mail()),
            Err(fault) => Err(smtp.give_up(session, fault).await),
        }
    }
}

/// MAIL; `Err` if the server cannot take such a mail at all.
async fn introduce(
    session: &mut AsyncSmtpConnection,
    envelope: &Envelope,
    raw: &[u8],
) -> Result<Result<(), Fault>, MailError> {
    let mut parameters = Vec::new();
    let addresses = envelope.to().iter().chain(envelope.from());
    // RFC 6531 and RFC 6152.
    for (is_needed, extension, parameter, missing) in [
        (
            !addresses.into_iter().all(|address| AsRef::<str>::as_ref(address).is_ascii()),
            Extension::SmtpUtfEight,
            MailParameter::SmtpUtfEight,
            "the mail server takes no addresses beyond ASCII",
        ),
        (
            !raw.is_ascii(),
            Extension::EightBitMime,
            MailParameter::Body(MailBodyParameter::EightBitMime),
            "the mail server takes no mails beyond ASCII",
        ),
    ] {
        if is_needed && !session.server_info().supports_feature(extension) {
            let words = missing.to_owned();
            return Err(MailError::Refused(MailReply { code: None, words }));
        }
        if is_needed {
            parameters.push(parameter);
        }
    }
    let mail = Mail::new(envelope.from().cloned(), parameters);
    Ok(ask(patience::MAIL, "MAIL", session.command(mail)).await.map(|_| ()))
}

/// RCPT and DATA.
async fn address(session: &mut AsyncSmtpConnection, envelope: &Envelope) -> Result<(), Fault> {
    for recipient in envelope.to() {
        let recipient = Rcpt::new(recipient.clone(), Vec::new());
        ask(patience::RCPT, "RCPT", session.command(recipient)).await?;
    }
    let go_on = ask(patience::DATA, "DATA", session.command(Data)).await?;
    if go_on.has_code(354) { Ok(()) } else { Err(Fault::OutOfTurn) }
}

/// A mail as it goes over the wire: a dot that begins a line is doubled, and one by itself ends it
/// (RFC 5321, section 4.5.2). All of it is one write: the end in a packet of its own would wait for
/// the acknowledgement of the one before, which a server may delay by 40 ms.
struct Stuffed<'a>(&'a [u8]);

impl fmt::Display for Stuffed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(self.0);
        let text = text.strip_suffix("\r\n").unwrap_or(&text);
        for line in text.split("\r\n") {
            let dot = if line.starts_with('.') { "." } else { "" };
            write!(f, "{dot}{line}\r\n")?;
        }
        f.write_str(".\r\n")
    }
}

/// Waits for an answer as long as the RFC says. What is dropped here is dropped for good: nobody
/// listens to a late answer.
async fn ask<T>(
    patience: Duration,
    to_what: &'static str,
    asking: impl Future<Output = Result<T, smtp::Error>>,
) -> Result<T, Fault> {
    match timeout(patience, asking).await {
        Ok(answer) => answer.map_err(Fault::Answered),
        Err(_) => Err(Fault::Late(to_what)),
    }
}

/// Whether the other side has ended a session: it is gone, or says so (421).
fn has_ended(error: &smtp::Error) -> bool {
    code(error).is_none_or(|code| code == 421) && !error.is_client()
}

/// Whether a session goes on after a fault: the server has answered, and it stays.
fn is_at_rest(fault: &Fault) -> bool {
    matches!(fault, Fault::Answered(error) if code(error).is_some_and(|code| code != 421))
}

fn code(error: &smtp::Error) -> Option<u16> {
    error.status().map(u16::from)
}

impl Fault {
    fn about_the_mail(self) -> MailError {
        match self {
            // A client error is of our own making, such as an address that cannot be said in SMTP: it
            // will not get better by waiting. 530 is about us: it wants TLS or an account.
            Self::Answered(error)
                if (error.is_permanent() && code(&error) != Some(530)) || error.is_client() =>
            {
                MailError::Refused(MailReply { code: code(&error), words: error.to_string() })
            }
            fault => fault.about_the_server(),
        }
    }

    /// No mail is refused for good because the server does not let us in.
    fn about_the_server(self) -> MailError {
        match self {
            Self::Answered(error) => {
                MailError::Delayed(MailReply { code: code(&error), words: error.to_string() })
            }
            Self::Late(to_what) => MailError::Late(to_what),
            Self::OutOfTurn => {
                let words = "the mail server answers out of turn".to_owned();
                MailError::Delayed(MailReply { code: None, words })
            }
        }
    }
}

async fn close_unused(kept: Weak<Mutex<VecDeque<Kept>>>) {
    let mut ticks = interval(IDLE / 4);
    loop {
        ticks.tick().await;
        let Some(kept) = kept.upgrade() else { return };
        let unused: Vec<_> = {
            let mut kept = lock(&kept);
            let unused = kept.iter().take_while(|it| it.since.elapsed() >= IDLE).count();
            kept.drain(..unused).collect()
        };
        for unused in unused {
            tokio::spawn(close(unused.session));
        }
    }
}

async fn close(mut session: AsyncSmtpConnection) {
    let _ = timeout(GOODBYE, session.abort()).await;
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
