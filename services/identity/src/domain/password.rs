use kernel::Malformed;

/// A password that may be chosen.
///
/// Rule: 15 to 128 characters while there is no second factor, at least six of them different, no
/// composition rules (NIST SP 800-63B-4), and not one that everybody knows.
pub(crate) struct NewPassword(String);

/// Long enough, and known to everybody all the same.
const COMMON: &[&str] = &[
    "passwordpassword",
    "password1234567",
    "password12345678",
    "1234567890123456",
    "123456789012345",
    "qwertyuiopasdfgh",
    "qwertyuiop12345",
    "correcthorsebatterystaple",
    "correct horse battery staple",
    "changemechangeme",
    "letmeinletmeinletmein",
    "iloveyouiloveyou",
];

impl NewPassword {
    /// Parses.
    pub(crate) fn parse(text: &str) -> Result<Self, Malformed> {
        let length = text.chars().count();
        if !(15..=128).contains(&length) {
            return Err(Malformed("15 to 128 characters"));
        }
        let mut different: Vec<char> = text.chars().collect();
        different.sort_unstable();
        different.dedup();
        if different.len() < 6 || COMMON.contains(&text.to_lowercase().as_str()) {
            return Err(Malformed("a password that is not easily guessed"));
        }
        Ok(Self(text.to_owned()))
    }

    pub(crate) fn into_inner(self) -> String {
        self.0
    }
}

/// The characters of a password that nobody types.
const LETTERS_AND_DIGITS: &[u8; 62] =
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// A password of 32 letters and digits (190 bits) from random bytes. Bytes from 248 are skipped:
/// below, each character stands for exactly four of them, and none is likelier than another.
/// `None` if too few bytes are left.
pub(crate) fn letters_and_digits(random: &[u8]) -> Option<String> {
    let usable = random.iter().filter(|byte| **byte < 248);
    let characters = usable.map(|byte| char::from(LETTERS_AND_DIGITS[usize::from(byte % 62)]));
    let password: String = characters.take(32).collect();
    (password.len() == 32).then_some(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_counts_characters_and_guessable_ones_are_refused() {
        assert!(NewPassword::parse("an old grey mare").is_ok());
        assert!(NewPassword::parse("\u{e4}\u{f6}\u{fc} und f\u{fc}nfzehn").is_ok());
        for bad in
            ["fourteen chars", "aaaaaaaaaaaaaaaaaaa", "PasswordPassword", &"xyzabc".repeat(22)]
        {
            assert!(NewPassword::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn each_letter_and_digit_is_as_likely_as_any_other() {
        let mut counts = std::collections::HashMap::new();
        for byte in 0..=u8::MAX {
            for character in letters_and_digits(&[byte; 32]).unwrap_or_default().chars().take(1) {
                *counts.entry(character).or_insert(0) += 1;
            }
        }
        assert_eq!(counts.len(), 62);
        assert!(counts.iter().all(|(c, count)| c.is_ascii_alphanumeric() && *count == 4));
    }

    #[test]
    fn a_password_from_too_few_bytes_is_none_at_all() {
        assert_eq!(letters_and_digits(&[0; 31]), None);
        assert_eq!(letters_and_digits(&[255; 64]), None);
        assert_eq!(letters_and_digits(&[0; 64]), Some("a".repeat(32)));
    }
}
