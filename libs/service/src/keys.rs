use std::{
    sync::{Arc, RwLock},
    time::Duration,
};

use api::identity::v1::{
    GetKeySetRequest, GetKeySetResponse, key_service_client::KeyServiceClient,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use kernel::Clock;
use tokio::{sync::Mutex, time::Instant};
use tonic::Status;

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
    /// is EdDSA, whatever the token says. An error means that nobody can tell now: no key is known
    /// because the identity service does not answer.
    pub async fn verify(&self, token: &str, clock: &Clock) -> Result<Option<Claims>, Status> {
        let Some(key_id) = key_id(token) else { return Ok(None) };
        let Some(key) = self.key(&key_id).await? else { return Ok(None) };
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[ISSUER]);
        // The library would ask the machine's clock; ours is injected.
        validation.validate_exp = false;
        let Ok(decoded) = jsonwebtoken::decode::<Claims>(token, &key, &validation) else {
            return Ok(None);
        };
        let (claims, now) = (decoded.claims, clock.now().timestamp());
        // Instances' clocks may differ by a little at the beginning, not at the end.
        Ok((now < claims.exp && claims.nbf <= now + 5).then_some(claims))
    }

    async fn key(&self, id: &str) -> Result<Option<DecodingKey>, Status> {
        if let Some(key) = self.known(id) {
            return Ok(Some(key));
        }
        let Some(peers) = self.0.source.as_ref() else { return Ok(None) };
        let mut fetched = self.0.fetched.lock().await;
        // Another call may have fetched it while this one waited.
        if let Some(key) = self.known(id) {
            return Ok(Some(key));
        }
        if fetched.is_none_or(|at| at.elapsed() >= FETCH_INTERVAL) {
            let mut client = KeyServiceClient::new(peers.identity(Auth::Anonymous));
            let answer = client.get_key_set(GetKeySetRequest {}).await;
            *fetched = Some(Instant::now());
            match answer {
                Ok(answer) => self.learn_published(answer.into_inner()),
                Err(status) => {
                    tracing::warn!(code = ?status.code(), "the key set cannot be fetched");
                }
            }
        }
        if self.knows_none() {
            return Err(crate::unavailable("no key is known that could verify a token"));
        }
        Ok(self.known(id))
    }

    fn learn_published(&self, answer: GetKeySetResponse) {
        let keys = answer.keys.into_iter();
        let keys = keys.map(|key| VerifyingKey { key_id: key.key_id, public_key: key.public_key });
        self.learn(&keys.collect::<Vec<_>>());
    }

    fn knows_none(&self) -> bool {
        self.0.known.read().is_ok_and(|known| known.is_empty())
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

/// The key that a token names, if it has the form of one of ours.
fn key_id(token: &str) -> Option<String> {
    // A token of ours has some 700 bytes: a megabyte of rubbish is not decoded.
    if token.len() > 4_096 {
        return None;
    }
    let header = jsonwebtoken::decode_header(token).ok()?;
    let is_ours = header.alg == Algorithm::EdDSA && header.typ.as_deref() == Some(TOKEN_TYPE);
    header.kid.filter(|_| is_ours)
}
