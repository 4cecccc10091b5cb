//! Pure types that every room shares: no I/O, no framework.

mod clock;
mod email;
mod fields;
mod link;
mod name;
mod search;

pub use clock::{Clock, ManualClock, Time};
pub use email::{EmailAddress, MailDomain};
pub use fields::{Fields, Malformed, Violation};
pub use link::{SealKey, Sealed};
pub use name::{DisplayName, misleads};
pub use search::{fold, words};
pub use uuid::Uuid;

/// A time span, in the type that arithmetic with [`Time`] wants.
pub use chrono::Duration;

/// Parses an identifier: a UUID in its usual form.
pub fn parse_id(text: &str) -> Result<Uuid, Malformed> {
    // `Uuid::parse_str` also takes braces and URNs: one spelling is enough for an API.
    if text.len() != 36 {
        return Err(Malformed("a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057"));
    }
    Uuid::parse_str(text)
        .map_err(|_| Malformed("a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057"))
}

/// 256 random bits as 43 URL-safe characters: a secret for a program. `None` if the machine has no
/// randomness to give.
pub fn random_secret() -> Option<String> {
    use base64::Engine as _;
    use ring::rand::SecureRandom as _;
    let mut bytes = [0; 32];
    ring::rand::SystemRandom::new().fill(&mut bytes).ok()?;
    Some(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
}

/// SHA-256 (FIPS 180-4).
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    let mut hash = [0; 32];
    hash.copy_from_slice(digest.as_ref());
    hash
}
