use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

/// How many words of a text are looked at.
const MOST_WORDS: usize = 32;
/// How long a word may be, in bytes.
const MOST_BYTES: usize = 64;

/// A text as it is searched and sorted by: case, accents, widths and spacing make no difference, so
/// that "Élan  ZÜRICH" is "elan zurich".
///
/// Rule: Unicode NFKD, without combining marks, lower case, every run of white space one space, none
/// at the ends. Folding twice changes nothing. It is for finding, never for telling two things
/// apart: different names may fold to one text.
pub fn fold(text: &str) -> String {
    let letters = text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase);
    let mut folded = String::with_capacity(text.len());
    for c in letters {
        match c {
            _ if !c.is_whitespace() => folded.push(at_any_place(c)),
            _ if folded.is_empty() || folded.ends_with(' ') => {}
            _ => folded.push(' '),
        }
    }
    folded.truncate(folded.trim_end().len());
    folded
}

/// The words that a text is found by: folded, and split at everything that is neither a letter nor a
/// digit. Each once, in the order of the text; at most 32, each cut at 64 bytes between characters.
pub fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in fold(text).split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let word = &word[..word.floor_char_boundary(MOST_BYTES)];
        if !words.iter().any(|known| known == word) {
            words.push(word.to_owned());
        }
        if words.len() == MOST_WORDS {
            break;
        }
    }
    words
}

/// Sigma has another form at the end of a word, where the beginning of a longer one must still be
/// found by it.
fn at_any_place(c: char) -> char {
    if c == 'ς' { 'σ' } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_fold_to_one_text() {
        for (text, folded) in [
            ("Élan  ZÜRICH", "elan zurich"),
            (" E\u{301}lan\u{a0}\tZu\u{308}rich\n", "elan zurich"),
            ("\u{ff35}\u{ff33}\u{ff28}\u{ff25}\u{ff32}", "usher"),
            ("ﬁnance №7", "finance no7"),
            ("ΟΔΟΣ", "οδοσ"),
            ("οδος", "οδοσ"),
            ("İstanbul", "istanbul"),
            ("", ""),
            (" \u{301} ", ""),
        ] {
            assert_eq!(fold(text), folded, "{text:?}");
        }
    }

    #[test]
    fn folding_twice_changes_nothing() {
        // The planes that have letters.
        for c in '\0'..='\u{1ffff}' {
            let once = fold(&format!("a{c}b"));
            assert_eq!(fold(&once), once, "{c:?} U+{:04X}", u32::from(c));
        }
    }

    #[test]
    fn a_text_is_found_by_each_of_its_words() {
        assert_eq!(
            words("Ada.Lovelace@Example.com, Élan"),
            ["ada", "lovelace", "example", "com", "elan"]
        );
        assert_eq!(words("tick TOCK Tick"), ["tick", "tock"]);
        assert_eq!(words(" – ! "), [""; 0]);
    }

    #[test]
    fn words_are_bounded_in_number_and_length() {
        let many: Vec<_> = (0..40).map(|n| n.to_string()).collect();
        assert_eq!(words(&many.join(" ")), many[..32]);
        assert_eq!(words(&"x".repeat(100)), ["x".repeat(64)]);
        // Three bytes a letter: the 22nd would be cut in two.
        assert_eq!(words(&"字".repeat(30)), ["字".repeat(21)]);
    }
}
