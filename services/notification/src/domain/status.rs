//! Enhanced mail system status codes (RFC 3463).

use std::fmt;

use kernel::Malformed;

use super::delivery::Reason;

/// A status such as `5.1.1`: its class, subject and detail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EnhancedStatus {
    class: u16,
    subject: u16,
    detail: u16,
}

impl EnhancedStatus {
    /// Parses; what comes after a space, such as a comment, is left out.
    pub(crate) fn parse(text: &str) -> Result<Self, Malformed> {
        let expected = Malformed("a status (RFC 3463) such as 5.1.1");
        let code = text.split_whitespace().next().unwrap_or_default();
        let number = |text: &str| {
            let fits = (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
            fits.then(|| text.parse::<u16>().ok()).flatten()
        };
        let numbers: Option<Vec<_>> = code.split('.').map(number).collect();
        match numbers.as_deref() {
            Some([class @ (2 | 4 | 5), subject, detail]) => {
                Ok(Self { class: *class, subject: *subject, detail: *detail })
            }
            _ => Err(expected),
        }
    }

    /// Whether there is no such mailbox, for good: no mail will ever reach this address. Not so a full
    /// mailbox (`5.2.2`), a policy (`5.7.x`), or what is wrong with the sender (`5.1.7`, `5.1.8`).
    pub(crate) fn is_of_the_address(self) -> bool {
        match (self.class, self.subject, self.detail) {
            (5, 1, detail) => !matches!(detail, 5 | 7 | 8),
            // Disabled; and nowhere to route it to.
            (5, 2, 1) | (5, 4, 4) => true,
            _ => false,
        }
    }

    /// Why a mail with this status came back.
    pub(crate) fn reason(self) -> Reason {
        match (self.subject, self.detail) {
            _ if self.is_of_the_address() => Reason::Address,
            (2, 2) => Reason::MailboxFull,
            (7, _) => Reason::Policy,
            _ => Reason::Other,
        }
    }
}

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_has_three_numbers() {
        for (text, shown) in [("5.1.1", "5.1.1"), (" 4.4.7 (expired)", "4.4.7"), ("2.0.0", "2.0.0")]
        {
            assert_eq!(EnhancedStatus::parse(text).unwrap().to_string(), shown);
        }
        for bad in ["", "5", "5.1", "5.1.1.1", "3.1.1", "5.1.x", "5..1", "5.1.1000", "5.-1.1"] {
            assert!(EnhancedStatus::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_what_is_wrong_with_the_address_for_good_suppresses_it() {
        for (status, reason) in [
            ("5.1.1", Reason::Address),
            ("5.1.2", Reason::Address),
            ("5.1.10", Reason::Address),
            ("5.2.1", Reason::Address),
            ("5.4.4", Reason::Address),
            ("5.2.2", Reason::MailboxFull),
            ("4.2.2", Reason::MailboxFull),
            ("5.7.1", Reason::Policy),
            ("5.7.26", Reason::Policy),
            ("5.1.7", Reason::Other),
            ("5.1.8", Reason::Other),
            ("4.1.1", Reason::Other),
            ("4.4.7", Reason::Other),
            ("5.0.0", Reason::Other),
        ] {
            let parsed = EnhancedStatus::parse(status).unwrap();
            assert_eq!(parsed.reason(), reason, "{status}");
            assert_eq!(parsed.is_of_the_address(), reason == Reason::Address, "{status}");
        }
    }
}
