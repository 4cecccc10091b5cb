use std::fmt;

use unicode_normalization::UnicodeNormalization as _;

use crate::Malformed;

/// A mail address, normalised once, so that two spellings are one person.
///
/// Rule: Unicode NFC, lower case, domain in ASCII (IDNA, UTS 46); the dot-atom form of RFC 5321
/// with the letters of RFC 6531, without quoting, comments or address literals. At most 64 bytes
/// before the `@` and 254 in all.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EmailAddress(String);

const EXPECTED: Malformed = Malformed("a mail address such as ada@example.com");

impl EmailAddress {
    /// Parses and normalises.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let text = text.trim();
        if text.len() > 254 {
            return Err(EXPECTED);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(EXPECTED)?;
        let local: String = local.nfc().collect::<String>().to_lowercase().nfc().collect();
        let domain = MailDomain::parse(domain).map_err(|_| EXPECTED)?;
        if local.len() > 64 || !is_dot_atom(&local) {
            return Err(EXPECTED);
        }
        let address = format!("{local}@{domain}");
        if address.len() > 254 { Err(EXPECTED) } else { Ok(Self(address)) }
    }

    /// The normalised text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is after the `@`, as [`MailDomain`] writes it.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

/// The domain of mail addresses, normalised once: in ASCII (IDNA, UTS 46), lower case.
///
/// Rule: at least two labels of letters, digits and hyphens, 1 to 63 bytes each and 253 in all, and
/// no address of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailDomain(String);

impl MailDomain {
    /// Parses and normalises.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let expected = Malformed("a mail domain such as example.com");
        if text.len() > 1_000 {
            return Err(expected);
        }
        let domain = idna::domain_to_ascii_strict(text).map_err(|_| expected)?;
        if is_mail_domain(&domain) { Ok(Self(domain)) } else { Err(expected) }
    }

    /// The normalised text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MailDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<EmailAddress> for String {
    fn from(address: EmailAddress) -> Self {
        address.0
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_dot_atom(local: &str) -> bool {
    local.split('.').all(|atom| {
        !atom.is_empty()
            && atom.chars().all(|c| {
                c.is_ascii_alphanumeric()
                    || "!#$%&'*+/=?^_`{|}~-".contains(c)
                    || (!c.is_ascii() && c.is_alphanumeric())
            })
    })
}

fn is_mail_domain(domain: &str) -> bool {
    domain.len() <= 253
        && domain.contains('.')
        && domain.split('.').all(|label| !label.is_empty() && label.len() <= 63)
        && !domain.rsplit('.').next().is_some_and(|top| top.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_spellings_are_one_address() {
        for (left, right) in [
            ("Ada@Example.COM", "ada@example.com"),
            (" ada@b\u{fc}cher.example ", "ada@xn--bcher-kva.example"),
            ("zoe\u{308}@example.com", "zo\u{eb}@example.com"),
        ] {
            assert_eq!(EmailAddress::parse(left), EmailAddress::parse(right));
        }
    }

    #[test]
    fn a_domain_is_written_in_one_way_alone_and_in_an_address() {
        for spelling in ["B\u{fc}cher.example", "xn--bcher-kva.EXAMPLE", "b\u{fc}cher.example"] {
            let domain = MailDomain::parse(spelling).unwrap();
            let address = EmailAddress::parse(&format!("ada@{spelling}")).unwrap();
            assert_eq!(
                (domain.as_str(), address.domain()),
                ("xn--bcher-kva.example", domain.as_str())
            );
        }
    }

    #[test]
    fn what_is_no_mail_domain_is_refused() {
        let long = format!("{}.example", "a.".repeat(130));
        for bad in [
            "",
            "localhost",
            "example.com.",
            " example.com",
            "a b.example",
            "@example.com",
            "10.0.0.1",
            "*.example.com",
            "example..com",
            &long,
        ] {
            assert!(MailDomain::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}@example.com", "a".repeat(65));
        for bad in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "ada@localhost",
            "a b@example.com",
            "a..b@example.com",
            "ada@example.com\r\nBcc: eve@example.com",
            "\"ada\"@example.com",
            "ada@[127.0.0.1]",
            "ada@exa mple.com",
            "ada@127.0.0.1",
            "a,b@example.com",
            "<ada@example.com>",
            &long,
        ] {
            assert!(EmailAddress::parse(bad).is_err(), "{bad:?}");
        }
    }
}
