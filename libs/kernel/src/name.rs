use std::fmt;

use unicode_normalization::UnicodeNormalization as _;

use crate::Malformed;

/// The name of a person or an organisation as people read it.
///
/// Rule: Unicode NFC, trimmed, 1 to 200 characters, no control or direction-changing characters
/// (they could make a page or a mail say something else).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayName(String);

const EXPECTED: Malformed = Malformed("1 to 200 characters without control characters");

impl DisplayName {
    /// Parses and normalises.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        // Four bytes a character, and as many again for what normalisation composes.
        if text.len() > 1_600 {
            return Err(EXPECTED);
        }
        let name: String = text.trim().nfc().collect();
        let length = name.chars().count();
        if length == 0 || length > 200 || name.chars().any(misleads) {
            return Err(EXPECTED);
        }
        Ok(Self(name))
    }

    /// The normalised text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<DisplayName> for String {
    fn from(name: DisplayName) -> Self {
        name.0
    }
}

impl fmt::Display for DisplayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a character can make a page or a mail say something else than it seems to: a control
/// character, a mark that changes the direction of what follows, or a break of lines by another name.
pub fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_trimmed_and_composed() {
        assert_eq!(DisplayName::parse(" Zoe\u{308} ").unwrap().as_str(), "Zo\u{eb}");
    }

    #[test]
    fn what_could_break_a_mail_header_or_mislead_a_reader_is_refused() {
        for bad in ["", "  ", "a\r\nBcc: b@c.de", "a\u{202e}b", "\u{0}", &"x".repeat(201)] {
            assert!(DisplayName::parse(bad).is_err(), "{bad:?}");
        }
    }
}
