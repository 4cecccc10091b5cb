//! The keys that verify access tokens, for programs that are not services of ours.

use api::identity::v1::{GetKeySetRequest, VerificationKey};
use axum::{
    Json,
    extract::State,
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    response::IntoResponse,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    clients::Gateway,
    openapi::{Operation, Routes},
    problem::Problem,
};

pub(crate) fn routes() -> Routes<Gateway> {
    let about = Operation::new("Read the keys that verify access tokens", 200)
        .for_everybody()
        .answers_as::<KeySet>("application/jwk-set+json");
    Routes::new().get("/.well-known/jwks.json", keys, about).tagged("sessions")
}

/// A JWK Set (RFC 7517, section 5).
#[derive(Serialize, ToSchema)]
struct KeySet {
    keys: Vec<Key>,
}

/// An Ed25519 public key as a JWK (RFC 8037, section 2).
#[derive(Serialize, ToSchema)]
struct Key {
    kty: &'static str,
    crv: &'static str,
    alg: &'static str,
    r#use: &'static str,
    kid: String,
    x: String,
}

/// `GET /.well-known/jwks.json` → 200. It may be kept for five minutes: half of a token's life, so
/// that a new key is known before tokens signed with the old one have all ended.
async fn keys(State(gateway): State<Gateway>) -> Result<impl IntoResponse, Problem> {
    let answer = gateway.keys().get_key_set(GetKeySetRequest {}).await?.into_inner();
    let keys = answer.keys.into_iter().map(Key::from).collect();
    let headers =
        [(CACHE_CONTROL, "public, max-age=300"), (CONTENT_TYPE, "application/jwk-set+json")];
    Ok((headers, Json(KeySet { keys })))
}

impl From<VerificationKey> for Key {
    fn from(key: VerificationKey) -> Self {
        let VerificationKey { key_id, public_key } = key;
        let x = URL_SAFE_NO_PAD.encode(public_key);
        Self { kty: "OKP", crv: "Ed25519", alg: "EdDSA", r#use: "sig", kid: key_id, x }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_written_as_in_rfc_8037() {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let public_key = URL_SAFE_NO_PAD.decode(x).unwrap();
        let key = Key::from(VerificationKey { key_id: "k".to_owned(), public_key });
        let expected = serde_json::json!({
            "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "k", "x": x,
        });
        assert_eq!(serde_json::to_value(key).unwrap(), expected);
    }
}
