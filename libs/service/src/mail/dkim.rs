//! Signatures that say for which domain a mail was sent (DKIM: RFC 6376, RFC 8463).
//!
//! What is signed is what goes over the wire, so that the header of a mail's parts is signed too, which
//! lettre's own signatures leave out.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use kernel::{MailDomain, Malformed, Time};
use ring::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
};

/// What is signed. One that a mail does not have is signed as missing, so that nobody can add it; and
/// so is a second author.
const SIGNED: [&str; 13] = [
    "from",
    "from",
    "to",
    "subject",
    "date",
    "message-id",
    "reply-to",
    "auto-submitted",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "list-unsubscribe",
    "list-unsubscribe-post",
];

/// Signs mails for one domain.
pub struct Dkim {
    key: DkimKey,
    selector: String,
    domain: MailDomain,
}

/// A private key. It is never shown.
pub struct DkimKey(Key);

enum Key {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl DkimKey {
    /// Reads PEM: RSA of 2048 to 4096 bits (PKCS#8 or PKCS#1), or Ed25519 (PKCS#8).
    pub fn parse(pem: &str) -> Result<Self, Malformed> {
        const EXPECTED: Malformed = Malformed("an RSA or Ed25519 private key in PEM");
        let (_, rest) = pem.split_once("-----BEGIN ").ok_or(EXPECTED)?;
        let (label, rest) = rest.split_once("-----").ok_or(EXPECTED)?;
        let (body, _) = rest.split_once("-----END ").ok_or(EXPECTED)?;
        let body: String = body.split_whitespace().collect();
        let der = BASE64.decode(body).map_err(|_| EXPECTED)?;
        let rsa = match label {
            "RSA PRIVATE KEY" => RsaKeyPair::from_der(&der),
            "PRIVATE KEY" => RsaKeyPair::from_pkcs8(&der),
            _ => return Err(EXPECTED),
        };
        if let Ok(rsa) = rsa {
            return Ok(Self(Key::Rsa(Box::new(rsa))));
        }
        let ed25519 = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|_| EXPECTED)?;
        Ok(Self(Key::Ed25519(Box::new(ed25519))))
    }
}

impl fmt::Debug for DkimKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DkimKey")
    }
}

impl fmt::Debug for Dkim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.selector, self.domain.as_str())
    }
}

impl Dkim {
    /// Signs for a domain with the key that is published at `SELECTOR._domainkey.DOMAIN`.
    pub fn new(key: DkimKey, selector: String, domain: MailDomain) -> Self {
        Self { key, selector, domain }
    }

    /// Puts the signature before a mail. A mail whose author is of another domain, which is not one
    /// below this, stays as it is: the signature would say nothing of its author (RFC 7489, section
    /// 3.1.1), and its domain has no key of ours.
    pub(super) fn sign(&self, raw: Vec<u8>, author: &str, now: Time) -> Vec<u8> {
        let domain = self.domain.as_str();
        let author = author.to_ascii_lowercase();
        let is_aligned =
            author == domain || author.strip_suffix(domain).is_some_and(|it| it.ends_with('.'));
        if !is_aligned {
            return raw;
        }
        let Some(signature) = self.signature(&raw, now) else {
            tracing::error!("a mail could not be signed, and goes out without a signature");
            return raw;
        };
        [signature.as_bytes(), raw.as_slice()].concat()
    }

    fn signature(&self, raw: &[u8], now: Time) -> Option<String> {
        let text = std::str::from_utf8(raw).ok()?;
        let (headers, body) = text.split_once("\r\n\r\n")?;
        let headers = unfolded(headers);
        let mut hashed = String::new();
        let mut left: Vec<_> = headers.iter().collect();
        for name in SIGNED {
            // The last of a name first, and each once.
            if let Some(place) = left.iter().rposition(|(found, _)| found == name) {
                let (name, value) = left.remove(place);
                hashed.push_str(&format!("{name}:{value}\r\n"));
            }
        }
        let algorithm = match self.key.0 {
            Key::Rsa(_) => "rsa-sha256",
            Key::Ed25519(_) => "ed25519-sha256",
        };
        let (domain, selector, time) = (self.domain.as_str(), &self.selector, now.timestamp());
        let names = SIGNED.join(":\r\n ");
        let body_hash = BASE64.encode(digest(&SHA256, relaxed(body).as_bytes()));
        let unsigned = format!(
            "DKIM-Signature: v=1; a={algorithm}; c=relaxed/relaxed; d={domain};\r\n s={selector}; \
             t={time};\r\n h={names};\r\n bh={body_hash};\r\n b="
        );
        let (name, value) = unfolded(&unsigned).pop()?;
        hashed.push_str(&format!("{name}:{value}"));
        let signature = BASE64.encode(self.key.sign(hashed.as_bytes())?);
        // Lines stay short; space inside the signature counts for nothing.
        let lines: Vec<_> = signature.as_bytes().chunks(72).map(String::from_utf8_lossy).collect();
        Some(format!("{unsigned}{}\r\n", lines.join("\r\n ")))
    }
}

impl DkimKey {
    fn sign(&self, text: &[u8]) -> Option<Vec<u8>> {
        match &self.0 {
            Key::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text, &mut signature).ok()?;
                Some(signature)
            }
            Key::Ed25519(key) => Some(key.sign(digest(&SHA256, text).as_ref()).as_ref().to_vec()),
        }
    }
}

/// The headers, each in one line: names in lower case, no space but one between words (section 3.4.2).
fn unfolded(headers: &str) -> Vec<(String, String)> {
    let lines = headers.replace("\r\n ", " ").replace("\r\n\t", " ");
    let split = |line: &str| {
        let (name, value) = line.split_once(':')?;
        let words: Vec<_> = value.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
        Some((name.trim_end().to_ascii_lowercase(), words.join(" ")))
    };
    lines.split("\r\n").filter_map(split).collect()
}

/// A body without space at the ends of its lines, with one where there was more, and without empty
/// lines at its end (section 3.4.4).
fn relaxed(body: &str) -> String {
    let mut text = String::with_capacity(body.len());
    let mut empty = 0;
    for line in body.split("\r\n") {
        let line = line.trim_end_matches([' ', '\t']);
        if line.is_empty() {
            empty += 1;
            continue;
        }
        text.push_str(&"\r\n".repeat(empty));
        empty = 0;
        let mut was_space = false;
        for c in line.chars() {
            let is_space = matches!(c, ' ' | '\t');
            if !is_space {
                text.push(c);
            } else if !was_space {
                text.push(' ');
            }
            was_space = is_space;
        }
        text.push_str("\r\n");
    }
    text
}

#[cfg(test)]
pub(super) mod tests;
