//! Where a mail server is, and how to talk to it.

use std::{fmt, net::IpAddr};

use kernel::Malformed;
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

/// A mail server.
///
/// Rule: what goes over the wire in the clear is said to. TLS may be left out of the address of this
/// very machine alone; elsewhere `?tls=` says which, and a password goes nowhere else without TLS that
/// is certain: `opportunistic` is none to whoever can change what is on the wire.
#[derive(Clone)]
pub struct SmtpUrl {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
    pub(super) account: Option<(String, SecretString)>,
}

/// What protects a connection to a mail server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Security {
    /// `smtps://`: TLS from the first byte (RFC 8314). Port 465.
    Tls,
    /// `?tls=required`: STARTTLS (RFC 3207), or no mail. Port 587.
    StartTls,
    /// `?tls=opportunistic`: STARTTLS if the server offers it. Port 587.
    Opportunistic,
    /// `?tls=none`. Port 25.
    None,
}

pub(super) const EXPECTED: Malformed = Malformed(
    "smtps://…, smtp://…?tls=required (without a password also tls=opportunistic or tls=none; to this \
     machine tls may be left out) or mailbox:DIRECTORY",
);

impl SmtpUrl {
    /// Parses a setting.
    pub(super) fn parse(text: &str) -> Result<Self, Malformed> {
        Self::read(text).ok_or(EXPECTED)
    }

    fn read(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let is_here = host == "localhost"
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        // A parameter that is not known is one that was meant to be another.
        let parameters: Vec<_> = url.query_pairs().collect();
        let tls = match parameters.as_slice() {
            [] => None,
            [(name, tls)] if name == "tls" => Some(tls.as_ref()),
            _ => return None,
        };
        let (security, port) = match (url.scheme(), tls) {
            ("smtps", None) => (Security::Tls, 465),
            ("smtp", Some("required")) => (Security::StartTls, 587),
            ("smtp", Some("opportunistic")) => (Security::Opportunistic, 587),
            ("smtp", Some("none")) => (Security::None, 25),
            ("smtp", None) if is_here => (Security::None, 25),
            _ => return None,
        };
        let account = account(&url)?;
        let is_secure = is_here || matches!(security, Security::Tls | Security::StartTls);
        let is_bare = ["", "/"].contains(&url.path()) && url.fragment().is_none();
        let port = url.port().unwrap_or(port);
        let fits = is_bare && !host.is_empty() && (is_secure || account.is_none());
        fits.then_some(Self { host, port, security, account })
    }
}

/// The account; `None` if half of it is missing.
#[allow(clippy::option_option, reason = "an account that is wrong, none, and one")]
fn account(url: &Url) -> Option<Option<(String, SecretString)>> {
    let decoded = |text: &str| Some(percent_decode_str(text).decode_utf8().ok()?.into_owned());
    match (url.username(), url.password()) {
        ("", None) => Some(None),
        ("", Some(_)) | (_, None) => None,
        (user, Some(password)) => Some(Some((decoded(user)?, decoded(password)?.into()))),
    }
}

impl PartialEq for SmtpUrl {
    fn eq(&self, other: &Self) -> bool {
        let account = |it: &Self| {
            let (user, password) = it.account.clone()?;
            Some((user, password.expose_secret().to_owned()))
        };
        (&self.host, self.port, self.security) == (&other.host, other.port, other.security)
            && account(self) == account(other)
    }
}

impl Eq for SmtpUrl {}

/// Without the account.
impl fmt::Debug for SmtpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} ({:?})", self.host, self.port, self.security)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_says_what_protects_the_connection() {
        for (text, host, port, security) in [
            ("smtps://ada:secret@mx.example", "mx.example", 465, Security::Tls),
            ("smtps://[::1]:4650", "::1", 4650, Security::Tls),
            ("smtp://ada:secret@mx.example?tls=required", "mx.example", 587, Security::StartTls),
            ("smtp://mx.example:25?tls=opportunistic", "mx.example", 25, Security::Opportunistic),
            ("smtp://mx.example?tls=none", "mx.example", 25, Security::None),
            ("smtp://127.0.0.1:2525", "127.0.0.1", 2525, Security::None),
            ("smtp://ada:secret@localhost", "localhost", 25, Security::None),
        ] {
            let url = SmtpUrl::parse(text).expect(text);
            assert_eq!((url.host.as_str(), url.port, url.security), (host, port, security));
            assert!(!format!("{url:?}").contains("secret"), "{text}");
        }
        let url = SmtpUrl::parse("smtps://a%40b:p%3A%2B+%2F@mx.example").unwrap();
        let (user, password) = url.account.unwrap();
        assert_eq!((user.as_str(), password.expose_secret()), ("a@b", "p:++/"));
    }

    #[test]
    fn what_would_go_in_the_clear_unsaid_is_refused() {
        for text in [
            // Nobody says that this is in the clear.
            "smtp://mx.example:25",
            "smtp://10.0.0.7",
            "smtp://127.0.0.1.example",
            // A password would be.
            "smtp://ada:secret@mx.example?tls=none",
            "smtp://ada:secret@mx.example?tls=opportunistic",
            // Meant to be something else.
            "smtp://mx.example?tsl=required",
            "smtp://mx.example?tls=Required",
            "smtp://mx.example?tls=required&tls=none",
            "smtps://mx.example?tls=none",
            "smtps://ada@mx.example",
            "smtps://:secret@mx.example",
            "smtps://mx.example/path",
            "smtps://mx.example#part",
            "smtps://",
            "http://mx.example",
            "mx.example:25",
            "",
        ] {
            assert_eq!(SmtpUrl::parse(text).map(|_| ()), Err(EXPECTED), "{text}");
        }
    }
}
