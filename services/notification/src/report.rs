//! Reads the mails that reports come in: `multipart/report` (RFC 6522) with a `message/delivery-status`
//! (RFC 3464) or a `message/feedback-report` (RFC 5965), and the returned mail or its headers.
//!
//! Anybody can send such a mail. Its parts are found by their boundary alone, one level deep and in one
//! pass: a parser of whole mails goes as deep as the mail wants it to.

use mail_parser::{ContentType, MessageParser, MimeHeaders as _};

use crate::domain::bounce::{Kind, Report, parse_feedback, parse_status};

/// The largest mail that is read.
pub(crate) const MOST_BYTES: usize = 1_048_576;
/// A report has three parts.
const MOST_PARTS: usize = 10;

/// Reads a report; `None` if the mail is none, or about no mail that has a `Message-ID`.
pub(crate) fn parse(raw: &[u8]) -> Option<Report> {
    let (head, body) = split(raw);
    let boundary = boundary(head)?;
    let (mut kind, mut message_id) = (None, None);
    for part in parts(body, &boundary) {
        let (head, body) = split(part);
        match content_type(head).as_str() {
            "message/delivery-status" | "message/global-delivery-status" => {
                kind = Some(Kind::Status(parse_status(&String::from_utf8_lossy(body))));
            }
            "message/feedback-report" => {
                kind = Some(parse_feedback(&String::from_utf8_lossy(body)));
            }
            "message/rfc822"
            | "message/global"
            | "text/rfc822-headers"
            | "message/rfc822-headers"
            | "message/global-headers" => {
                message_id = message_id.or_else(|| message_id_of(split(body).0));
            }
            _ => {}
        }
    }
    Some(Report { message_id: message_id?, kind: kind? })
}

/// The head of a mail or part, with its blank line, and what follows.
fn split(raw: &[u8]) -> (&[u8], &[u8]) {
    let mut from = 0;
    for line in raw.split_inclusive(|byte| *byte == b'\n') {
        from += line.len();
        if line.trim_ascii().is_empty() {
            break;
        }
    }
    raw.split_at(from)
}

/// The boundary of a `multipart/report`.
fn boundary(head: &[u8]) -> Option<Vec<u8>> {
    let mail = MessageParser::default().parse_headers(head)?;
    let kind = mail.content_type()?;
    let boundary = kind.attribute("boundary")?;
    (named(kind) == "multipart/report").then(|| boundary.as_bytes().to_vec())
}

fn content_type(head: &[u8]) -> String {
    let part = MessageParser::default().parse_headers(head);
    part.and_then(|part| part.content_type().map(named)).unwrap_or_default()
}

fn named(kind: &ContentType<'_>) -> String {
    format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default()).to_ascii_lowercase()
}

fn message_id_of(head: &[u8]) -> Option<String> {
    let mail = MessageParser::default().parse_headers(head)?;
    mail.message_id().map(str::to_owned)
}

/// The parts of a multipart body (RFC 2046, section 5.1.1): what is between lines that begin with `--`
/// and the boundary.
fn parts<'a>(body: &'a [u8], boundary: &[u8]) -> Vec<&'a [u8]> {
    let (mut parts, mut begun, mut at) = (Vec::new(), None, 0);
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        let next = at + line.len();
        let after = line.strip_prefix(b"--").and_then(|line| line.strip_prefix(boundary));
        // The boundary of a part's own parts may begin like this one.
        let is_end = |rest: &[u8]| [&b""[..], b"--"].contains(&rest.trim_ascii_end());
        if let Some(after) = after.filter(|after| is_end(after)) {
            if let Some(begun) = begun {
                parts.push(&body[begun..at]);
            }
            begun = (!after.starts_with(b"--") && parts.len() < MOST_PARTS).then_some(next);
            if begun.is_none() {
                return parts;
            }
        }
        at = next;
    }
    // The end may be missing, where a report was cut off.
    parts.extend(begun.map(|begun| &body[begun..]));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{bounce::Verdict, delivery::Reason};
    use crate::testing::{complaint, dsn};

    #[test]
    fn a_report_names_its_mail_and_what_became_of_it() {
        for returned in ["message/rfc822", "text/rfc822-headers", "message/global"] {
            let raw = dsn("<7@usher>", "ada@example.com", "failed", "5.1.1");
            let raw = raw.replace("message/rfc822", returned);
            for raw in [raw.clone(), raw.replace("\r\n", "\n"), raw.replace("report", "REPORT")] {
                let report = parse(raw.as_bytes()).unwrap();
                assert_eq!(report.message_id, "7@usher");
                let verdict = report.verdict("ada@example.com").unwrap();
                let Verdict::Bounced { reason, suppresses, .. } = verdict else { panic!("{raw}") };
                assert_eq!((reason, suppresses), (Reason::Address, true));
            }
        }
        let report = parse(complaint("<7@usher>", "ada@example.com").as_bytes()).unwrap();
        assert_eq!(report.verdict("ada@example.com"), Some(Verdict::Complained));
    }

    #[test]
    fn the_parts_of_a_returned_mail_are_none_of_the_reports() {
        let inner = "Content-Type: multipart/alternative; boundary=\"=_b2\"\r\n\r\n--=_b2\r\n\
                     Content-Type: message/delivery-status\r\n\r\n\
                     Final-Recipient: rfc822; eve@example.com\r\nAction: failed\r\n\r\n--=_b2--";
        let raw = dsn("<7@usher>", "ada@example.com", "failed", "5.1.1");
        let raw = raw.replace("Hello.", inner);
        let report = parse(raw.as_bytes()).unwrap();
        assert!(report.verdict("ada@example.com").is_some());
        assert_eq!(report.verdict("eve@example.com"), None);
    }

    #[test]
    fn what_is_no_report_is_none() {
        let whole = dsn("<7@usher>", "ada@example.com", "failed", "5.1.1");
        let broken = [
            String::new(),
            "\0".repeat(1_000),
            "Subject: hello\r\n\r\nMessage-ID: <7@usher>\r\nAction: failed\r\n".to_owned(),
            whole.replace("multipart/report", "multipart/mixed"),
            whole.replace("message/delivery-status", "text/plain"),
            whole.replace("message/rfc822", "text/plain"),
            whole.replace("Message-ID", "X-Message-ID"),
            whole.replace("boundary=", "border="),
        ];
        for raw in broken {
            assert_eq!(parse(raw.as_bytes()), None, "{raw}");
        }
    }

    #[test]
    fn no_mail_makes_the_parser_fall() {
        let whole = dsn("<7@usher>", "ada@example.com", "failed", "5.1.1");
        for end in 0..whole.len() {
            let _ = parse(&whole.as_bytes()[..end]);
        }
        // Mails in mails in mails, and parts without end.
        let nested = "Content-Type: message/rfc822\r\n\r\n".repeat(MOST_BYTES / 32);
        let many = "--b\r\n".repeat(MOST_BYTES / 5);
        for rest in [nested, many] {
            let head = "Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\n";
            assert_eq!(parse(format!("{head}{rest}").as_bytes()), None);
        }
    }
}
