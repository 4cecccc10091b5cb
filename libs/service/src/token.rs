use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use kernel::{Time, Uuid};
use serde::{Deserialize, Serialize};

/// How long an access token lives: 10 minutes.
pub const LIFETIME_SECONDS: i64 = 600;

/// The issuer and the audience of every access token.
pub(crate) const ISSUER: &str = "usher";
/// The header's `typ` (RFC 9068).
pub(crate) const TOKEN_TYPE: &str = "at+jwt";

/// What an access token says (RFC 9068).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    /// Always `usher`.
    pub iss: String,
    /// Always `usher`.
    pub aud: String,
    /// The user or service account.
    pub sub: Uuid,
    /// `person` or `service`.
    pub kind: String,
    /// The session, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<Uuid>,
    /// The person's address, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub email: String,
    /// The person's or service account's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// A service account's scopes, space-separated (RFC 8693).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scope: String,
    /// Seconds since 1970.
    pub iat: i64,
    /// Seconds since 1970.
    pub nbf: i64,
    /// Seconds since 1970.
    pub exp: i64,
    /// This token's own identifier.
    pub jti: Uuid,
}

/// The key that signs access tokens (EdDSA, Ed25519), derived from the identity service's secret:
/// every instance has it, and no database does.
#[derive(Clone)]
pub struct Signer {
    encoding: EncodingKey,
    verifying: VerifyingKey,
}

/// The public half of a [`Signer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyingKey {
    /// RFC 7638 thumbprint.
    pub key_id: String,
    /// 32 bytes.
    pub public_key: Vec<u8>,
}

impl Signer {
    /// Derives the key pair.
    pub fn derive(secret: &[u8]) -> Self {
        let root = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
        let seed = ring::hmac::sign(&root, b"access-token-signing");
        // PKCS #8 (RFC 8410): a fixed head before the 32 bytes of the seed.
        let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
        der.extend(seed.as_ref());
        let pair = ring::signature::Ed25519KeyPair::from_seed_unchecked(seed.as_ref())
            .unwrap_or_else(|_| unreachable!("an HMAC-SHA-256 has the 32 bytes of a seed"));
        let public_key = ring::signature::KeyPair::public_key(&pair).as_ref().to_vec();
        Self {
            encoding: EncodingKey::from_ed_der(&der),
            verifying: VerifyingKey { key_id: thumbprint(&public_key), public_key },
        }
    }

    /// The public half, to be published.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// Signs claims that begin to hold `now`.
    pub fn sign(
        &self,
        mut claims: Claims,
        now: Time,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        claims.iss = ISSUER.to_owned();
        claims.aud = ISSUER.to_owned();
        claims.iat = now.timestamp();
        claims.nbf = claims.iat;
        claims.exp = claims.iat + LIFETIME_SECONDS;
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TOKEN_TYPE.to_owned());
        header.kid = Some(self.verifying.key_id.clone());
        jsonwebtoken::encode(&header, &claims, &self.encoding)
    }
}

impl Claims {
    /// Claims of a person's session.
    pub fn person(user: Uuid, session: Uuid, email: String, name: String, jti: Uuid) -> Self {
        let claims = Self::empty(user, "person", name, jti);
        Self { sid: Some(session), email, ..claims }
    }

    /// Claims of a service account.
    pub fn service(account: Uuid, name: String, scope: String, jti: Uuid) -> Self {
        Self { scope, ..Self::empty(account, "service", name, jti) }
    }

    fn empty(sub: Uuid, kind: &str, name: String, jti: Uuid) -> Self {
        Self {
            iss: String::new(),
            aud: String::new(),
            sub,
            kind: kind.to_owned(),
            sid: None,
            email: String::new(),
            name,
            scope: String::new(),
            iat: 0,
            nbf: 0,
            exp: 0,
            jti,
        }
    }
}

fn thumbprint(public_key: &[u8]) -> String {
    let x = URL_SAFE_NO_PAD.encode(public_key);
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, canonical.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_is_that_of_the_example_in_rfc_8037() {
        let x = URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        assert_eq!(thumbprint(&x), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[tokio::test]
    async fn another_type_issuer_audience_or_time_is_refused() {
        let (signer, clock) = (Signer::derive(b"a secret"), kernel::Clock::System);
        let keys = crate::Keys::fixed(&[signer.verifying_key().clone()]);
        let id = clock.new_id();
        let mut good = Claims::service(id, "a".into(), String::new(), id);
        let now = clock.now().timestamp();
        (good.iss, good.aud, good.iat) = (ISSUER.into(), ISSUER.into(), now);
        (good.nbf, good.exp) = (now, now + 60);
        let sign = |typ: &str, claims: &Claims| {
            let mut header = Header::new(Algorithm::EdDSA);
            header.typ = Some(typ.to_owned());
            header.kid = Some(signer.verifying_key().key_id.clone());
            jsonwebtoken::encode(&header, claims, &signer.encoding).unwrap()
        };
        let verify = async |token: String| keys.verify(&token, &clock).await.unwrap().is_some();
        assert!(verify(sign(TOKEN_TYPE, &good)).await);
        assert!(!verify(sign("JWT", &good)).await, "an id token, say");
        for bad in [
            Claims { iss: "another".into(), ..good.clone() },
            Claims { aud: "another".into(), ..good.clone() },
            Claims { exp: now, ..good.clone() },
            Claims { nbf: now + 60, ..good.clone() },
        ] {
            assert!(!verify(sign(TOKEN_TYPE, &bad)).await, "{bad:?}");
        }
    }
}
