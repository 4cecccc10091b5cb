//! What a mail says to its reader, and how one telling's mails differ from another's.

use std::collections::BTreeSet;

use html5gum::{Token, Tokenizer, emitters::default::DefaultEmitter};
use mail_parser::{Address, MessageParser};

use crate::{
    scene::Scene,
    telling::{Telling, Told},
    words::{NOTES, place},
};

/// A mail as its reader sees it, with a name in the place of each field's words and of each link. The
/// addresses in its headers are those that they must be, and are left out.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    /// The names of the headers, in their order.
    headers: Vec<String>,
    /// The media types of its parts.
    parts: Vec<String>,
    from: String,
    to: String,
    subject: String,
    text: String,
    page: Vec<Piece>,
}

/// A part of a page as a browser reads it.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    /// A tag with its attributes; of `href` and `src` the value is one of the links.
    Tag(String, Vec<(String, String)>),
    Text(String),
}

/// Each mail is the first telling's with the words exchanged.
pub(crate) fn assert_words_are_all_that_differs(scene: &Scene, told: &[Telling]) {
    let [plain, hostile @ ..] = told else { panic!("a telling to compare with") };
    let expected: Vec<_> = plain.mails.iter().map(|told| Read::of(scene, plain, told)).collect();
    for (read, told) in expected.iter().zip(&plain.mails) {
        assert_it_says_what_it_must(read, told);
    }
    for telling in hostile {
        assert_eq!(telling.mails.len(), expected.len());
        for (told, expected) in telling.mails.iter().zip(&expected) {
            let (read, attack) = (Read::of(scene, telling, told), telling.words.attack);
            let raw = String::from_utf8_lossy(&told.mail.raw);
            assert_eq!(&read, expected, "{} to {}: {attack}\n{raw}", told.what, told.to);
        }
    }
}

/// What the comparison stands on: a mail that left a field out would say nothing about it.
fn assert_it_says_what_it_must(read: &Read, told: &Told) {
    let shown = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Tag(..) => String::new(),
    };
    let shown: String = read.page.iter().map(shown).collect();
    for &field in told.says {
        let names: Vec<_> = match NOTES.contains(&field) {
            true => [0, 2, 4, 5].map(|index| place(field, index)).into(),
            false => vec![format!("‹{field}›")],
        };
        for name in names {
            assert!(read.text.contains(&name), "{}: {name} in {}", told.what, read.text);
            assert!(shown.contains(&name), "{}: {name} in {shown}", told.what);
            // What has several lines is quoted on each of them.
            let mut lines = read.text.lines().filter(|line| line.contains(&name));
            assert!(!NOTES.contains(&field) || lines.all(|line| line == format!("> {name}")));
        }
    }
    assert!(read.subject.contains("‹organisationname›"), "{}", read.subject);
    assert_eq!(read.from, "‹sendername›");
    assert_eq!(read.parts, ["multipart/alternative", "text/plain", "text/html"]);
    for name in ["From", "To", "Reply-To", "Subject", "Date", "Message-ID"] {
        assert_eq!(read.headers.iter().filter(|it| *it == name).count(), 1, "{:?}", read.headers);
    }
    let harmless = ["Auto-Submitted", "MIME-Version", "Content-Type"];
    let reminder = ["List-Unsubscribe", "List-Unsubscribe-Post"];
    for name in &read.headers {
        let is_known = ["From", "To", "Reply-To", "Subject", "Date", "Message-ID"]
            .iter()
            .chain(&harmless)
            .chain(reminder.iter().filter(|_| ["reminder", "reminded"].contains(&told.what)))
            .any(|known| known == name);
        assert!(is_known, "{name} in {}", told.what);
    }
    let links = |text: &str| text.matches("‹link›").count();
    let hrefs = |piece: &Piece| match piece {
        Piece::Tag(_, attributes) => attributes.iter().filter(|(_, it)| it == "‹link›").count(),
        Piece::Text(_) => 0,
    };
    // That an invitation is over is told without a link; every other mail has one, which its HTML
    // also shows to be copied.
    let count = usize::from(told.what != "expired");
    let counts = (links(&read.text), links(&shown), read.page.iter().map(hrefs).sum::<usize>());
    assert_eq!(counts, (count, count, count), "{}: {}", told.what, read.text);
}

impl Read {
    fn of(scene: &Scene, telling: &Telling, told: &Told) -> Self {
        let raw = &told.mail.raw;
        let whole = std::str::from_utf8(raw).expect("a mail is text");
        for line in whole.split("\r\n") {
            assert!(!line.contains(['\r', '\n', '\0']) && line.len() <= 998, "{line:?}");
        }
        let mail = MessageParser::default().parse(raw).expect("a mail that can be parsed");
        assert!(mail.cc().is_none() && mail.bcc().is_none() && mail.sender().is_none(), "{whole}");
        assert_eq!(only(mail.to()), (told.name.as_str(), told.to.as_str()), "{whole}");
        let (from, author) = only(mail.from());
        assert_eq!(author, telling.author());
        assert_eq!(only(mail.reply_to()), ("", telling.reply_to().as_str()), "{whole}");
        let named = |text: &str| named(scene, telling, text);
        let parts = mail.parts.iter().filter_map(mail_parser::MimeHeaders::content_type);
        Self {
            headers: header_names(whole),
            parts: parts
                .map(|it| format!("{}/{}", it.ctype(), it.subtype().unwrap_or_default()))
                .collect(),
            from: named(from),
            to: named(only(mail.to()).0),
            subject: named(mail.subject().expect("a subject")),
            text: named(&told.mail.text().replace("\r\n", "\n")),
            page: page(&told.mail.html(), named),
        }
    }
}

/// The name and the address that a header has, which must be one.
fn only<'a>(header: Option<&'a Address<'a>>) -> (&'a str, &'a str) {
    let list = header.and_then(Address::as_list).expect("a list of addresses");
    let [one] = list else { panic!("one address: {list:?}") };
    (one.name().unwrap_or_default(), one.address().unwrap_or_default())
}

/// The names of the headers as they came over the wire: a parser may overlook one that another finds.
fn header_names(whole: &str) -> Vec<String> {
    let (headers, _) = whole.split_once("\r\n\r\n").expect("headers and a body");
    let lines = headers.split("\r\n").filter(|line| !line.starts_with([' ', '\t']));
    lines.map(|line| line.split_once(':').expect("a header").0.to_owned()).collect()
}

/// A text with names in the place of what may differ: words, links of the platform's own, and times.
fn named(scene: &Scene, telling: &Telling, text: &str) -> String {
    let text = telling.words.named(text);
    let origin = format!("{}/", scene.platform.http);
    let mut parts = text.split(&origin);
    let mut named = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(char::is_whitespace).unwrap_or(part.len());
        named += "‹link›";
        named += &part[end..];
    }
    named.retain(|c| !c.is_ascii_digit());
    named
}

/// A page as a browser reads it.
fn page(html: &str, named: impl Fn(&str) -> String) -> Vec<Piece> {
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    let words = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let mut pieces = Vec::new();
    let mut text = String::new();
    for token in Tokenizer::new_with_emitter(html, emitter) {
        let tag = match token.expect("a token") {
            Token::String(more) => {
                text += &words(&more.value);
                continue;
            }
            Token::StartTag(tag) => {
                let attributes = tag.attributes.iter().map(|(name, value)| {
                    let (name, value) = (words(name), words(&value.value));
                    let is_address = ["href", "src"].contains(&name.as_str());
                    (name, if is_address { named(&value) } else { value })
                });
                Piece::Tag(words(&tag.name), attributes.collect())
            }
            Token::EndTag(tag) => Piece::Tag(format!("/{}", words(&tag.name)), Vec::new()),
            Token::Doctype(_) => continue,
            other => panic!("neither tag nor text: {other:?} in {html}"),
        };
        if !text.is_empty() {
            pieces.push(Piece::Text(named(&std::mem::take(&mut text))));
        }
        pieces.push(tag);
    }
    assert!(text.trim().is_empty(), "nothing stands behind the page: {text}");
    pieces
}

/// The mail server was told of these mails and of nothing else: one sender and one recipient each. The
/// commands of several connections come one between another, so that they are counted.
pub(crate) fn assert_the_conversation_is_of_these_mails(scene: &Scene, told: &[Telling]) {
    let expected = told.iter().flat_map(|telling| telling.mails.iter().map(|told| told.to.clone()));
    let (mut expected, mut mailed): (Vec<_>, _) = (expected.collect(), scene.sink().recipients());
    expected.sort_unstable();
    mailed.sort_unstable();
    assert_eq!(mailed, expected);

    let authors: BTreeSet<_> = told.iter().map(Telling::author).collect();
    let (mut begun, mut recipients) = (0, 0);
    for command in scene.sink().commands() {
        let line = command.strip_suffix("\r\n").expect("a line");
        match line.split([' ', ':']).next().unwrap_or_default() {
            "MAIL" => {
                begun += 1;
                let author = line.strip_prefix("MAIL FROM:<").and_then(|it| it.split_once('>'));
                assert!(author.is_some_and(|(author, _)| authors.contains(author)), "{line}");
            }
            "RCPT" => {
                recipients += 1;
                let to = line.strip_prefix("RCPT TO:<").and_then(|it| it.strip_suffix('>'));
                assert!(to.is_some_and(|to| expected.iter().any(|it| it == to)), "{line}");
            }
            "EHLO" => {}
            "DATA" | "NOOP" | "RSET" | "QUIT" => assert_eq!(line.len(), 4, "{line}"),
            _ => panic!("no command of a mail: {line}"),
        }
    }
    // One that was begun in vain may lack its recipient; none has two.
    assert!(recipients <= begun, "{recipients} recipients of {begun} mails");
}
