use api::identity::v1::{GetKeySetResponse, VerificationKey};

use crate::Identity;

/// The key set. Anybody may ask: these are the public halves.
pub(crate) fn get_set(identity: &Identity) -> GetKeySetResponse {
    let key = identity.signer.verifying_key();
    let key = VerificationKey { key_id: key.key_id.clone(), public_key: key.public_key.clone() };
    GetKeySetResponse { keys: vec![key] }
}
