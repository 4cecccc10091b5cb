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
}
