use std::{
    sync::{Arc, RwLock},
    time::Duration,
};

use api::identity::v1::{GetKeySetRequest, key_service_client::KeyServiceClient};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use kernel::Clock;
use tokio::{sync::Mutex, time::Instant};

use crate::{
    Auth, Claims, Peers, VerifyingKey,
    token::{ISSUER, TOKEN_TYPE},
};

/// The keys that verify access tokens: the service's own, or the identity service's as it
/// publishes them.
#[derive(Clone)]
pub struct Keys(Arc<Inner>);

struct Inner {
    known: RwLock<Vec<(String, DecodingKey)>>,
    source: Option<Peers>,
    fetched: Mutex<Option<Instant>>,
}

/// An unknown key is asked for at most this often, so that forged tokens cause no traffic.
const FETCH_INTERVAL: Duration = Duration::from_secs(5);

impl Keys {
    /// Keys that are known from the start.
    pub fn fixed(keys: &[VerifyingKey]) -> Self {
        let inner = Inner { known: RwLock::default(), source: None, fetched: Mutex::default() };
        let this = Self(Arc::new(inner));
        this.learn(keys);
        this
    }

    /// Keys that the identity service publishes, fetched when a token names one that is not known.
    pub fn published(source: Peers) -> Self {
        Self(Arc::new(Inner {
            known: RwLock::default(),
            source: Some(source),
            fetched: Mutex::default(),
        }))
    }

    /// The claims of a token if its signature, type, issuer, audience and times hold; the algorithm
    /// is EdDSA, whatever the token says.
    pub async fn verify(&self, token: &str, clock: &Clock) -> Option<Claims> {
        // A token of ours has some 700 bytes: a megabyte of rubbish is not decoded.
        if token.len() > 4_096 {
            return None;
        }
        let header = jsonwebtoken::decode_header(token).ok()?;
        if header.alg != Algorithm::EdDSA || header.typ.as_deref() != Some(TOKEN_TYPE) {
            return None;
        }
        let key = self.key(&header.kid?).await?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[ISSUER]);
        // The library would ask the machine's clock; ours is injected.
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation).ok()?.claims;
        let now = clock.now().timestamp();
        // Instances' clocks may differ by a little at the beginning, not at the end.
        (now < claims.exp && claims.nbf <= now + 5).then_some(claims)
    }

    async fn key(&self, id: &str) -> Option<DecodingKey> {
        if let Some(key) = self.known(id) {
            return Some(key);
        }
        let peers = self.0.source.as_ref()?;
        let mut fetched = self.0.fetched.lock().await;
        // Another call may have fetched it while this one waited.
        if let Some(key) = self.known(id) {
            return Some(key);
        }
        if fetched.is_some_and(|at| at.elapsed() < FETCH_INTERVAL) {
            return None;
        }
        let mut client = KeyServiceClient::new(peers.identity(Auth::Anonymous));
        match client.get_key_set(GetKeySetRequest {}).await {
            Ok(answer) => {
                *fetched = Some(Instant::now());
                let keys = answer.into_inner().keys.into_iter();
                let keys = keys
                    .map(|key| VerifyingKey { key_id: key.key_id, public_key: key.public_key })
                    .collect::<Vec<_>>();
                self.learn(&keys);
            }
            Err(status) => tracing::warn!(code = ?status.code(), "the key set cannot be fetched"),
        }
        self.known(id)
    }

    fn known(&self, id: &str) -> Option<DecodingKey> {
        let known = self.0.known.read().ok()?;
        known.iter().find(|(key_id, _)| key_id == id).map(|(_, key)| key.clone())
    }

    fn learn(&self, keys: &[VerifyingKey]) {
        let decoding = keys.iter().filter_map(|key| {
            let x = URL_SAFE_NO_PAD.encode(&key.public_key);
            Some((key.key_id.clone(), DecodingKey::from_ed_components(&x).ok()?))
        });
        if let Ok(mut known) = self.0.known.write() {
            *known = decoding.collect();
        }
    }
}
