//! Password hashing: argon2id with m = 19 MiB, t = 2, p = 1 (OWASP), off the async threads and
//! bounded, because each hash takes memory and a core.

use std::sync::Arc;

use argon2::{
    Argon2, Params,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

use crate::error::Error;

pub(crate) struct Hashing {
    permits: Arc<Semaphore>,
    /// Those who hash and those who wait; more are turned away at once.
    queue: Semaphore,
}

/// How many wait for each permit.
const WAITING: usize = 32;

impl Hashing {
    pub(crate) fn new(permits: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(permits)),
            queue: Semaphore::new(permits * WAITING),
        }
    }

    /// Hashes a new password, to a PHC string.
    pub(crate) async fn hash(&self, password: SecretString) -> Result<String, Error> {
        let hash = |password: SecretString| {
            let hash: Result<PasswordHash, _> =
                argon2().hash_password(password.expose_secret().as_bytes());
            hash.map(|hash| hash.to_string())
        };
        let hash = self.run(move || hash(password)).await?;
        hash.map_err(|error| Error::Internal(error.to_string()))
    }

    /// Whether the password is the one of the hash. Without a hash it takes as long and answers no,
    /// so that nobody learns from the time which accounts exist.
    pub(crate) async fn verify(
        &self,
        password: SecretString,
        hash: Option<String>,
    ) -> Result<bool, Error> {
        self.run(move || {
            let password = password.expose_secret().as_bytes();
            match hash.as_deref().map(PasswordHash::new) {
                Some(Ok(hash)) => argon2().verify_password(password, &hash).is_ok(),
                _ => {
                    let _: Result<PasswordHash, _> = argon2().hash_password(password);
                    false
                }
            }
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let _place = self.queue.try_acquire().map_err(|_| Error::Busy)?;
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| Error::Busy)?;
        let hashing = tokio::task::spawn_blocking(move || {
            // The permit goes with the work: a caller that gave up does not free the core.
            let _permit = permit;
            work()
        });
        hashing.await.map_err(|error| Error::Internal(error.to_string()))
    }
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(19 * 1024, 2, 1, None)
        .unwrap_or_else(|_| unreachable!("these parameters are in range"));
    Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
}
