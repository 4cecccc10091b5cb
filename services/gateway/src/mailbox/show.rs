use askama::Template;
use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header::CONTENT_SECURITY_POLICY},
    response::Response,
};
use kernel::parse_id;
use service::{Mailbox, MailboxEntry};

use super::read::mail;
use crate::{input::Id, pages::page, problem::Problem};

#[derive(Template)]
#[template(path = "mailbox/show.html")]
struct Show {
    mail: MailboxEntry,
    text: Vec<Piece>,
}

/// A piece of a mail's text.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Plain(String),
    /// An address that may be followed.
    Link(String),
}

/// The mail's HTML part stands in a frame without any right, whose styles are written in it.
const POLICY: &str = "default-src 'none'; style-src 'self' 'unsafe-inline'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// `GET /mailbox/{id}`: one mail.
///
/// Errors: 404.
pub(super) async fn show(State(mailbox): State<Mailbox>, Id(id): Id) -> Result<Response, Problem> {
    let id = parse_id(&id).map_err(|_| Problem::path_unknown())?;
    let mail = mail(mailbox, id).await?;
    let text = pieces(&mail.text);
    let mut response = page(StatusCode::OK, &Show { mail, text });
    let policy = HeaderValue::from_static(POLICY);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    Ok(response)
}

/// Only what begins with `http://` or `https://` may be followed: a template that a tenant wrote
/// could hold `javascript:`.
fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for word in text.split_inclusive(char::is_whitespace) {
        let address = word.trim_end().trim_end_matches(['.', ',', ';', ':', '!', '?', ')', '>']);
        if address.starts_with("http://") || address.starts_with("https://") {
            pieces.push(Piece::Link(address.to_owned()));
            pieces.push(Piece::Plain(word[address.len()..].to_owned()));
        } else {
            pieces.push(Piece::Plain(word.to_owned()));
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_addresses_become_links() {
        let text = "Open https://usher.example/invitations/abc.\nOr javascript:alert(1) http:x";
        let links: Vec<_> = pieces(text)
            .into_iter()
            .filter_map(|piece| match piece {
                Piece::Link(address) => Some(address),
                Piece::Plain(_) => None,
            })
            .collect();
        assert_eq!(links, ["https://usher.example/invitations/abc"]);
    }

    #[test]
    fn nothing_of_the_text_is_lost() {
        let text = "a  b\r\n\nhttps://x.example/y), end \u{a0}\n";
        let whole: String = pieces(text)
            .into_iter()
            .map(|piece| match piece {
                Piece::Link(text) | Piece::Plain(text) => text,
            })
            .collect();
        assert_eq!(whole, text);
    }
}
