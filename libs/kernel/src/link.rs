use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;
use uuid::Uuid;

/// A key that seals tokens: they are verified by keyed hash, so none is stored and each can be
/// written again when a mail is repeated.
#[derive(Clone)]
pub struct SealKey(hmac::Key);

/// What a sealed token says. It names a row and a generation of it: raising the row's generation
/// makes every earlier token dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The row that the token opens.
    pub id: Uuid,
    /// Counts from 1.
    pub generation: i32,
}

const BODY: usize = 16 + 4;

impl SealKey {
    /// A key for one purpose, derived from the service's secret: a token of another purpose does
    /// not open.
    pub fn derive(secret: &[u8], purpose: &str) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let derived = hmac::sign(&root, purpose.as_bytes());
        Self(hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()))
    }

    /// Writes the token: 70 URL-safe characters, 256 bits of keyed hash.
    pub fn seal(&self, sealed: Sealed) -> String {
        let mut bytes = sealed.id.as_bytes().to_vec();
        bytes.extend(sealed.generation.to_be_bytes());
        let tag = hmac::sign(&self.0, &bytes);
        bytes.extend(tag.as_ref());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// 256 bits for one generation of a row: a secret that both sides know and none is stored of. It
    /// is part of what [`SealKey::seal`] writes: a key that derives secrets seals no tokens.
    pub fn secret(&self, of: Sealed) -> [u8; 32] {
        let mut bytes = of.id.as_bytes().to_vec();
        bytes.extend(of.generation.to_be_bytes());
        let mut secret = [0; 32];
        secret.copy_from_slice(hmac::sign(&self.0, &bytes).as_ref());
        secret
    }

    /// Reads a token, in constant time; nothing for whatever this key did not seal.
    pub fn open(&self, token: &str) -> Option<Sealed> {
        // The length is checked first, so that a megabyte of rubbish costs nothing.
        if token.len() != 70 {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (body, tag) = bytes.split_at_checked(BODY)?;
        hmac::verify(&self.0, body, tag).ok()?;
        let (id, generation) = body.split_at_checked(16)?;
        Some(Sealed {
            id: Uuid::from_slice(id).ok()?,
            generation: i32::from_be_bytes(generation.try_into().ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEALED: Sealed = Sealed { id: Uuid::from_u128(7), generation: 3 };

    #[test]
    fn a_token_opens_with_its_key_and_purpose_alone() {
        let key = SealKey::derive(b"secret", "invitation-link");
        let token = key.seal(SEALED);
        assert_eq!(token.len(), 70);
        assert_eq!(key.open(&token), Some(SEALED));
        assert_eq!(SealKey::derive(b"secret", "refresh-token").open(&token), None);
        assert_eq!(SealKey::derive(b"other", "invitation-link").open(&token), None);
    }

    #[test]
    fn a_secret_differs_with_key_row_and_generation() {
        let key = SealKey::derive(b"secret", "callback");
        let secret = key.secret(SEALED);
        assert_eq!(key.secret(SEALED), secret);
        assert_ne!(SealKey::derive(b"secret", "other").secret(SEALED), secret);
        assert_ne!(key.secret(Sealed { generation: 4, ..SEALED }), secret);
        assert_ne!(key.secret(Sealed { id: Uuid::from_u128(8), ..SEALED }), secret);
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let key = SealKey::derive(b"secret", "invitation-link");
        let bytes = URL_SAFE_NO_PAD.decode(key.seal(SEALED)).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut forged = bytes.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key.open(&URL_SAFE_NO_PAD.encode(&forged)), None, "bit {bit}");
        }
    }
}
