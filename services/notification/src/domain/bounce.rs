//! What reports about mails say that came back (RFC 3464) or were complained of (RFC 5965).

use std::collections::HashMap;

use kernel::EmailAddress;

use super::{
    delivery::{Reason, kept_words},
    status::EnhancedStatus,
};

/// A report about one mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// The `Message-ID` of the mail, as its returned headers say it.
    pub message_id: String,
    pub kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// How it went, for each recipient.
    Status(Vec<Recipient>),
    /// Its recipient calls it unwanted. Whose complaint it is may be left out of it (RFC 6590).
    Complaint(Option<EmailAddress>),
}

/// What a report says of one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recipient {
    /// As the mail was addressed, and as it was forwarded to.
    addresses: Vec<EmailAddress>,
    has_failed: bool,
    status: Option<EnhancedStatus>,
    words: String,
}

/// What a report means for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The mail did not arrive and never will; `words` are the mail server's.
    Bounced {
        reason: Reason,
        suppresses: bool,
        words: String,
    },
    /// It is delayed, or arrived after all.
    Noted,
    Complained,
}

/// More recipients than this no report about a mail of ours has: each mail has one.
const MOST_RECIPIENTS: usize = 20;

impl Report {
    /// What it means for a recipient, whose normalised address this is; `None` if it is not about them.
    pub(crate) fn verdict(&self, recipient: &str) -> Option<Verdict> {
        match &self.kind {
            Kind::Complaint(from) => {
                let is_theirs = from.as_ref().is_none_or(|from| from.as_str() == recipient);
                is_theirs.then_some(Verdict::Complained)
            }
            Kind::Status(recipients) => {
                let is_theirs =
                    |it: &&Recipient| it.addresses.iter().any(|one| one.as_str() == recipient);
                recipients.iter().find(is_theirs).map(Recipient::verdict)
            }
        }
    }
}

impl Recipient {
    /// `failed` is for good, whatever the status says (RFC 3464, section 2.3.3): with `4.4.7` it was
    /// tried until nobody wanted to try any more. Only a status that blames the address suppresses it.
    fn verdict(&self) -> Verdict {
        if !self.has_failed {
            return Verdict::Noted;
        }
        Verdict::Bounced {
            reason: self.status.map_or(Reason::Other, EnhancedStatus::reason),
            suppresses: self.status.is_some_and(EnhancedStatus::is_of_the_address),
            words: self.words.clone(),
        }
    }
}

/// Reads the body of a `message/delivery-status` (RFC 3464, section 2.1): groups of fields with blank
/// lines between, of which the first is about the message and each other about a recipient.
pub(crate) fn parse_status(body: &str) -> Vec<Recipient> {
    let mut groups = groups(body).into_iter();
    // Some leave out the first group.
    let recipients = groups.by_ref().filter(|group| group.contains_key("final-recipient"));
    recipients.take(MOST_RECIPIENTS).map(|group| recipient(&group)).collect()
}

fn recipient(group: &HashMap<String, String>) -> Recipient {
    let field = |name: &str| group.get(name).map(String::as_str).unwrap_or_default();
    let addresses = ["original-recipient", "final-recipient"].map(|name| address(field(name)));
    let status = EnhancedStatus::parse(field("status")).ok();
    let diagnosis = field("diagnostic-code");
    let diagnosis = diagnosis.split_once(';').map_or(diagnosis, |(_, words)| words).trim();
    let shown = status.map(|status| status.to_string()).unwrap_or_default();
    Recipient {
        addresses: addresses.into_iter().flatten().collect(),
        has_failed: field("action").eq_ignore_ascii_case("failed"),
        status,
        words: kept_words(if diagnosis.is_empty() { &shown } else { diagnosis }),
    }
}

/// Reads the body of a `message/feedback-report` (RFC 5965, section 3): whose complaint it is.
pub(crate) fn parse_feedback(body: &str) -> Kind {
    let groups = groups(body);
    let from = groups.iter().find_map(|group| address(group.get("original-rcpt-to")?));
    Kind::Complaint(from)
}

/// `rfc822; ada@example.com`, or an address alone.
fn address(field: &str) -> Option<EmailAddress> {
    let address = field.split_once(';').map_or(field, |(_, address)| address).trim();
    EmailAddress::parse(address.trim_start_matches('<').trim_end_matches('>')).ok()
}

/// Groups of fields; names in lower case, folded lines put together. Of a field that comes twice the
/// first holds.
fn groups(body: &str) -> Vec<HashMap<String, String>> {
    let (mut groups, mut group) = (Vec::new(), HashMap::<String, String>::new());
    let mut last = String::new();
    for line in body.lines().chain([""]) {
        if line.trim().is_empty() {
            if !group.is_empty() {
                groups.push(std::mem::take(&mut group));
            }
            last.clear();
        } else if line.starts_with([' ', '\t']) {
            if let Some(value) = group.get_mut(&last) {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            last = name.trim().to_ascii_lowercase();
            group.entry(last.clone()).or_insert_with(|| value.trim().to_owned());
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Reporting-MTA: dns; mx.example.com\r\n\
        \r\n\
        Original-Recipient: rfc822;Ada@Example.com\r\n\
        Final-Recipient: RFC822; <ada@elsewhere.example>\r\n\
        Action: failed\r\n\
        Status: 5.1.1 (no mailbox)\r\n\
        Diagnostic-Code: smtp; 550 5.1.1\r\n \tno such\r\n  user\r\n\
        \r\n\
        Final-Recipient: rfc822; eve@example.com\r\n\
        Action: delayed\r\n\
        Status: 4.4.1\r\n";

    fn report(status: &str) -> Report {
        Report { message_id: String::new(), kind: Kind::Status(parse_status(status)) }
    }

    #[test]
    fn each_recipient_has_a_verdict_of_their_own() {
        let report = report(STATUS);
        let bounced = Verdict::Bounced {
            reason: Reason::Address,
            suppresses: true,
            words: "550 5.1.1 no such user".to_owned(),
        };
        assert_eq!(report.verdict("ada@example.com"), Some(bounced.clone()));
        assert_eq!(report.verdict("ada@elsewhere.example"), Some(bounced));
        assert_eq!(report.verdict("eve@example.com"), Some(Verdict::Noted));
        assert_eq!(report.verdict("zoe@example.com"), None);
    }

    #[test]
    fn what_has_failed_came_back_whatever_its_status() {
        for (status, reason, suppresses) in [
            ("5.2.2", Reason::MailboxFull, false),
            ("5.7.1", Reason::Policy, false),
            ("4.4.7", Reason::Other, false),
            ("", Reason::Other, false),
            ("rubbish", Reason::Other, false),
            ("5.2.1", Reason::Address, true),
        ] {
            let text = format!(
                "Final-Recipient: rfc822; ada@example.com\nAction: FAILED\nStatus: {status}\n"
            );
            let Some(Verdict::Bounced { reason: read, suppresses: suppressed, .. }) =
                report(&text).verdict("ada@example.com")
            else {
                panic!("{status}");
            };
            assert_eq!((read, suppressed), (reason, suppresses), "{status}");
        }
        for action in ["delayed", "delivered", "relayed", "expanded", "", "rubbish"] {
            let text = format!(
                "Final-Recipient: rfc822; ada@example.com\nAction: {action}\nStatus: 5.1.1\n"
            );
            assert_eq!(report(&text).verdict("ada@example.com"), Some(Verdict::Noted), "{action}");
        }
    }

    #[test]
    fn a_complaint_may_leave_out_whose_it_is() {
        let theirs = |body: &str| {
            let report = Report { message_id: String::new(), kind: parse_feedback(body) };
            report.verdict("ada@example.com")
        };
        let told = "Feedback-Type: abuse\nOriginal-Rcpt-To: <ada@example.com>\n";
        assert_eq!(theirs(told), Some(Verdict::Complained));
        assert_eq!(theirs("Feedback-Type: abuse\n"), Some(Verdict::Complained));
        assert_eq!(theirs("Feedback-Type: abuse\nOriginal-Rcpt-To: eve@example.com\n"), None);
    }

    #[test]
    fn a_report_without_end_is_read_in_bounds() {
        let many = "Final-Recipient: rfc822; ada@example.com\nAction: failed\n\n".repeat(1_000);
        let Kind::Status(recipients) = report(&many).kind else { panic!("a status") };
        assert_eq!(recipients.len(), MOST_RECIPIENTS);
        let long = format!(
            "Final-Recipient: rfc822; ada@example.com\nAction: failed\nDiagnostic-Code: smtp; {}\n",
            "x".repeat(9_000)
        );
        let Some(Verdict::Bounced { words, .. }) = report(&long).verdict("ada@example.com") else {
            panic!("it bounced");
        };
        assert_eq!(words.len(), 500);
    }
}
