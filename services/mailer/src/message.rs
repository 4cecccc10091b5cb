//! What goes over the wire.

use std::time::SystemTime;

use api::notification::v1::Sender;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use kernel::{EmailAddress, Time};
use lettre::{
    Address, Message,
    address::AddressError,
    message::{
        Mailbox, MultiPart, SinglePart,
        header::{ContentTransferEncoding, ContentType, Header, HeaderName, HeaderValue},
    },
};

/// The name that mail comes from where nobody says another.
const SENDER: &str = "Usher";

/// Whom a mail comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Author {
    name: String,
    address: EmailAddress,
    reply_to: Option<EmailAddress>,
}

impl Author {
    /// As the notification service says; what is left out, or is no address, is the platform's.
    pub(crate) fn new(sender: Sender, platform: &EmailAddress) -> Self {
        let Sender { display_name, reply_to, from_address } = sender;
        let name = header(&display_name);
        Self {
            name: if name.is_empty() { SENDER.to_owned() } else { name },
            address: EmailAddress::parse(&from_address).unwrap_or_else(|_| platform.clone()),
            reply_to: EmailAddress::parse(&reply_to).ok(),
        }
    }
}

/// Everything but the contents.
pub(crate) struct Envelope<'a> {
    pub from: &'a Author,
    pub to: &'a EmailAddress,
    /// The recipient's name; may be empty.
    pub name: &'a str,
    /// RFC 5322, with its angle brackets.
    pub message_id: &'a str,
    pub date: Time,
    /// Where reminders are stopped; empty for a mail that is none.
    pub unsubscribe_url: &'a str,
}

/// Why there is no mail.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ComposeError {
    #[error("a mail cannot be addressed like this: {0}")]
    Address(#[from] AddressError),
    #[error(transparent)]
    Message(#[from] lettre::error::Error),
}

/// Writes a mail (RFC 5322) with a text and an HTML part (RFC 2046, section 5.1.4), that no automat
/// answers (RFC 3834).
///
/// Nothing that is given leaves its place: control characters in headers become spaces, and both
/// bodies are quoted-printable with CRLF at line ends. lettre would choose `7bit` for plain ASCII,
/// and before 0.11.24 let a bare CR or LF in such a body reach the SMTP conversation.
pub(crate) fn compose(
    envelope: Envelope<'_>,
    subject: &str,
    text: &str,
    html: &str,
) -> Result<Message, ComposeError> {
    let Envelope { from, to, name, message_id, date, unsubscribe_url } = envelope;
    let part = |kind, body| {
        SinglePart::builder()
            .header(kind)
            .header(ContentTransferEncoding::QuotedPrintable)
            .body(body)
    };
    let alternatives = MultiPart::alternative()
        .singlepart(part(ContentType::TEXT_PLAIN, lines(text)))
        .singlepart(part(ContentType::TEXT_HTML, lines(html)));
    let mut builder = Message::builder();
    if let Some(reply_to) = &from.reply_to {
        builder = builder.reply_to(Mailbox::new(None, address(reply_to)?));
    }
    if !unsubscribe_url.is_empty() {
        builder = builder.header(ListUnsubscribe(header(unsubscribe_url)));
        builder = builder.header(ListUnsubscribePost);
    }
    let message = builder
        .from(Mailbox::new(Some(from.name.clone()), address(&from.address)?))
        .to(Mailbox::new(Some(header(name)).filter(|name| !name.is_empty()), address(to)?))
        .header(Subject(header(subject)))
        .date(SystemTime::from(date))
        .message_id(Some(header(message_id)))
        .header(AutoSubmitted)
        .multipart(alternatives)?;
    Ok(message)
}

fn address(address: &EmailAddress) -> Result<Address, AddressError> {
    address.as_str().parse()
}

/// One line: control characters become spaces. At most 900 characters, because lettre breaks lines
/// only at spaces, and no line may have more than 998 (RFC 5322, section 2.1.1).
fn header(text: &str) -> String {
    let line = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(900);
    line.collect::<String>().trim().to_owned()
}

/// Lines that end with CRLF, whatever they ended with, and no other control character but the
/// tabulator.
fn lines(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let text = text.replace(|c: char| c.is_control() && c != '\n' && c != '\t', " ");
    text.replace('\n', "\r\n")
}

/// What a mail is about. lettre writes ASCII as it stands, and so, by itself, what somebody has typed as
/// an encoded word (RFC 2047): a reader would decode it to what no name may hold. Such a subject is
/// encoded itself.
#[derive(Clone)]
struct Subject(String);

/// How much of a text fits into one encoded word, in bytes: a line has 76 characters at most, and the
/// first one begins with the header's name (RFC 2047, section 2).
const ENCODED_WORD: usize = 39;

impl Header for Subject {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Subject")
    }

    fn parse(text: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self(text.to_owned()))
    }

    fn display(&self) -> HeaderValue {
        if !self.0.contains("=?") {
            return HeaderValue::new(Self::name(), self.0.clone());
        }
        let mut words = vec![String::new()];
        for c in self.0.chars() {
            let is_full = words.last().is_none_or(|it| it.len() + c.len_utf8() > ENCODED_WORD);
            words.extend(is_full.then(String::new));
            words.last_mut().into_iter().for_each(|word| word.push(c));
        }
        let words =
            words.into_iter().map(|it| format!("=?utf-8?B?{}?=", BASE64_STANDARD.encode(it)));
        let encoded = words.collect::<Vec<_>>().join("\r\n ");
        HeaderValue::dangerous_new_pre_encoded(Self::name(), self.0.clone(), encoded)
    }
}

/// `Auto-Submitted: auto-generated` (RFC 3834, section 5).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// `List-Unsubscribe: <URL>` (RFC 2369, section 3.2).
#[derive(Clone)]
struct ListUnsubscribe(String);

impl Header for ListUnsubscribe {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("List-Unsubscribe")
    }

    fn parse(text: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self(text.trim_matches(['<', '>']).to_owned()))
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), format!("<{}>", self.0))
    }
}

/// `List-Unsubscribe-Post: List-Unsubscribe=One-Click` (RFC 8058, section 3.1): a mail provider may
/// stop them for its reader without showing a page.
#[derive(Clone)]
struct ListUnsubscribePost;

impl Header for ListUnsubscribePost {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("List-Unsubscribe-Post")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "List-Unsubscribe=One-Click".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use mail_parser::MessageParser;

    use super::*;

    #[test]
    fn an_encoded_subject_is_on_lines_of_76_characters_and_reads_as_it_was() {
        let address = EmailAddress::parse("ada@example.com").unwrap();
        let from = Author::new(Sender::default(), &address);
        for part in ["=?utf-8?Q?x?= ", "=?\u{1f44b}\u{e4}\u{20ac}x"] {
            let subject = part.repeat(60).trim().to_owned();
            let envelope = Envelope {
                from: &from,
                to: &address,
                name: "",
                message_id: "<1@example.com>",
                date: Time::UNIX_EPOCH,
                unsubscribe_url: "",
            };
            let mail = compose(envelope, &subject, "Hello", "<p>Hello</p>").unwrap().formatted();
            let text = String::from_utf8(mail.clone()).unwrap();
            let mut lines = text.split("\r\n").skip_while(|line| !line.starts_with("Subject: "));
            let first = lines.next().unwrap();
            let more: Vec<_> = lines.take_while(|line| line.starts_with(' ')).collect();
            assert!(more.len() > 10, "{text}");
            assert!(std::iter::once(first).chain(more).all(|line| line.len() <= 76), "{text}");
            assert_eq!(MessageParser::default().parse(&mail).unwrap().subject(), Some(&*subject));
        }
    }
}
