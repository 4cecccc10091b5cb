use ring::signature::{ED25519, KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

use super::*;

const RSA: &str = include_str!("tests/rsa-2048.pem");
const SHORT: &str = include_str!("tests/rsa-1024.pem");
const ED25519_KEY: &str = include_str!("tests/ed25519.pem");

const MAIL: &str = "From: Usher <usher@example.com>\r\nTo: ada@example.org\r\nSubject: Grace \
                    Hopper\r\n invites  you \r\nMIME-Version: 1.0\r\nContent-Type: \
                    multipart/alternative;\r\n\tboundary=\"b\"\r\n\r\n--b\r\n\r\nHello  Ada, \r\n\r\n.\
                    \r\n--b--\r\n\r\n\r\n";

fn dkim(pem: &str) -> Dkim {
    let domain = MailDomain::parse("example.com").unwrap();
    Dkim::new(DkimKey::parse(pem).unwrap(), "mails".to_owned(), domain)
}

fn signed(dkim: &Dkim, author: &str) -> String {
    let now = "2026-06-01T12:00:00Z".parse().unwrap();
    String::from_utf8(dkim.sign(MAIL.into(), author, now)).unwrap()
}

/// What a receiver does, word by word as RFC 6376, section 6.1, has it.
pub(in crate::mail) fn verify(dkim: &Dkim, mail: &str) -> Result<(), &'static str> {
    let (head, body) = mail.split_once("\r\n\r\n").ok_or("no body")?;
    let mut fields: Vec<String> = Vec::new();
    for line in head.split("\r\n") {
        match fields.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) => last.push_str(line),
            _ => fields.push(line.to_owned()),
        }
    }
    let squeeze = |text: &str| {
        let mut text = text.replace('\t', " ");
        while text.contains("  ") {
            text = text.replace("  ", " ");
        }
        text
    };
    let canonical = |field: &str| {
        let (name, value) = field.split_once(':').unwrap();
        format!("{}:{}", name.trim_end().to_lowercase(), squeeze(value).trim())
    };
    let place = fields.iter().position(|it| it.starts_with("DKIM-Signature:")).ok_or("unsigned")?;
    let signature = fields.remove(place);
    let tag = |name: &str| {
        let tags = signature.split_once(':').unwrap().1.split(';');
        let mut tags = tags.filter_map(|tag| tag.trim().split_once('='));
        tags.find(|(found, _)| *found == name).map(|(_, value)| value.replace(' ', ""))
    };
    assert_eq!(tag("c").as_deref(), Some("relaxed/relaxed"));

    let mut lines: Vec<_> =
        body.split("\r\n").map(|line| squeeze(line).trim_end().to_owned()).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    let body: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    if tag("bh") != Some(BASE64.encode(digest(&SHA256, body.as_bytes()))) {
        return Err("another body");
    }
    let mut hashed = String::new();
    for name in tag("h").unwrap().split(':') {
        let is_it = |field: &String| field.split(':').next().unwrap().eq_ignore_ascii_case(name);
        if let Some(place) = fields.iter().rposition(is_it) {
            hashed += &format!("{}\r\n", canonical(&fields.remove(place)));
        }
    }
    let unsigned = &signature[..signature.rfind("b=").unwrap() + 2];
    hashed += &canonical(unsigned);
    let bytes = BASE64.decode(tag("b").unwrap()).unwrap();
    let verified = match &dkim.key.0 {
        Key::Rsa(key) => {
            UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref())
                .verify(hashed.as_bytes(), &bytes)
        }
        Key::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key.public_key().as_ref())
            .verify(digest(&SHA256, hashed.as_bytes()).as_ref(), &bytes),
    };
    verified.map_err(|_| "another head")
}

#[test]
fn a_receiver_verifies_the_signature_and_notices_every_change() {
    for pem in [RSA, ED25519_KEY] {
        let dkim = dkim(pem);
        let mail = signed(&dkim, "example.com");
        assert_eq!(verify(&dkim, &mail), Ok(()));
        assert!(mail.split("\r\n").all(|line| line.len() < 120), "{mail}");
        for (from, to, noticed) in [
            ("Hello", "hello", Err("another body")),
            ("Grace", "Eve", Err("another head")),
            ("boundary=\"b\"", "boundary=\"c\"", Err("another head")),
            ("From: Usher", "From: eve@evil.example\r\nFrom: Usher", Err("another head")),
            ("To: ada", "Reply-To: eve@evil.example\r\nTo: ada", Err("another head")),
            ("d=example.com", "d=evil.example", Err("another head")),
            // A relay may fold and space.
            ("invites  you", "invites\r\n you", Ok(())),
            ("To: ada", "Received: by mx.example\r\nTo: ada", Ok(())),
        ] {
            assert!(mail.contains(from), "{from}");
            assert_eq!(verify(&dkim, &mail.replacen(from, to, 1)), noticed, "{to}");
        }
        let stranger = self::dkim(if pem == RSA { ED25519_KEY } else { RSA });
        assert_eq!(verify(&stranger, &mail), Err("another head"));
    }
}

#[test]
fn only_what_the_domain_itself_or_one_below_it_sends_is_signed() {
    let dkim = dkim(ED25519_KEY);
    for author in ["example.com", "Example.COM", "people.example.com"] {
        assert_eq!(verify(&dkim, &signed(&dkim, author)), Ok(()), "{author}");
    }
    for author in ["example.org", "evilexample.com", "com", "example.com.evil.example", ""] {
        assert_eq!(signed(&dkim, author), MAIL, "{author}");
    }
}

#[test]
fn a_key_is_rsa_of_2048_bits_or_ed25519_and_is_never_shown() {
    for text in ["", "secret", SHORT, &RSA[..300], &RSA.replace("RSA PRIVATE", "PUBLIC")] {
        assert!(DkimKey::parse(text).is_err(), "{text}");
    }
    let in_pkcs8 = include_str!("tests/rsa-2048-pkcs8.pem");
    for pem in [RSA, in_pkcs8, ED25519_KEY] {
        assert_eq!(format!("{:?} {:?}", dkim(pem), dkim(pem).key), "mails at example.com DkimKey");
    }
}
