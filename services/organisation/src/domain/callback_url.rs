use kernel::Malformed;

/// Where the outcome of an invitation is told.
///
/// Rule: an absolute `https` URL, or `http` on the machine itself (`localhost`, `127.0.0.1`, `[::1]`);
/// at most 2000 visible ASCII characters, a host by name or address, an optional port, no user and no
/// fragment. The syntax is narrower than that of RFC 3986, so that no two programs read two hosts in
/// one text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CallbackUrl {
    text: String,
    /// In lower case, with the port unless it is the scheme's own: as applications register it.
    host: String,
}

const EXPECTED: Malformed = Malformed(
    "an https URL such as https://app.example.com/invitations, without user and fragment",
);

impl CallbackUrl {
    pub(crate) fn parse(text: &str) -> Result<Self, Malformed> {
        let is_plain = text.bytes().all(|b| b.is_ascii_graphic() && !b"\\#<>\"^`{|}".contains(&b));
        if text.len() > 2_000 || !is_plain {
            return Err(EXPECTED);
        }
        let (scheme, rest) = text.split_once("://").ok_or(EXPECTED)?;
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let (host, port) = split(authority).ok_or(EXPECTED)?;
        let own = match scheme {
            "https" => 443,
            "http" if matches!(host.as_str(), "localhost" | "127.0.0.1" | "[::1]") => 80,
            _ => return Err(EXPECTED),
        };
        let host = match port {
            Some(port) if port != own => format!("{host}:{port}"),
            _ => host,
        };
        Ok(Self { text: text.to_owned(), host })
    }

    /// In lower case, with the port unless it is the scheme's own.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }
}

impl From<CallbackUrl> for String {
    fn from(url: CallbackUrl) -> Self {
        url.text
    }
}

/// The host, in lower case, and the port of a well-formed authority. An IPv6 address has brackets.
fn split(authority: &str) -> Option<(String, Option<u16>)> {
    let end = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (host, port) = authority.split_at(end);
    let port = match port.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
        None if port.is_empty() => None,
        _ => return None,
    };
    let is_host = match host.strip_prefix('[') {
        Some(address) => address.strip_suffix(']')?.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(is_label),
    };
    is_host.then(|| (host.to_ascii_lowercase(), port))
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_what_every_program_reads() {
        for (url, host) in [
            ("https://App.Example.com/hook?a=b", "app.example.com"),
            ("https://app.example.com:443", "app.example.com"),
            ("https://app.example.com:8443", "app.example.com:8443"),
            ("http://localhost:9/x", "localhost:9"),
            ("http://[::1]/x", "[::1]"),
            ("https://app.example.com?x", "app.example.com"),
        ] {
            assert_eq!(CallbackUrl::parse(url).unwrap().host(), host);
        }
        for bad in [
            "",
            "app.example.com",
            "http://app.example.com/",
            "ftp://app.example.com/",
            "https://",
            "https://app.example.com@evil.example/",
            "https://app.example.com:80@evil.example/",
            "https://app.example.com\\@evil.example/",
            "https://app.example.com:port/",
            "https://app.example.com:+80/",
            "https://app..example.com/",
            "https://app.example.com/#here",
            "https://app.example.com/ x",
            "https://\u{430}pp.example.com/",
            "http://[::1/",
            "http://127.0.0.1.evil.example/",
        ] {
            assert!(CallbackUrl::parse(bad).is_err(), "{bad:?}");
        }
    }
}
