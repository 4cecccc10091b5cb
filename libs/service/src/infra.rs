use std::sync::Arc;

use bus::Bus;
use cache::Cache;
use db::Database;
use kernel::{Clock, SealKey, Uuid};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{Keys, Mail, MailUrl, Peers, Role, Settings, Signer};

/// The parts that differ between embedded and production, and nothing else that does.
#[derive(Clone)]
pub struct Infra {
    /// The settings.
    pub settings: Arc<Settings>,
    /// The time.
    pub clock: Clock,
    /// The bus.
    pub bus: Bus,
    /// The cache.
    pub cache: Cache,
    /// The mail transport; only the mailer has one, and the all-in-one.
    pub mail: Option<Mail>,
    /// What verifies access tokens.
    pub keys: Keys,
}

impl Infra {
    /// Opens everything that the settings name. Servers are connected on first use.
    pub fn open(settings: Settings, clock: Clock) -> anyhow::Result<Self> {
        let holds_key = matches!(settings.role, Role::AllInOne | Role::Identity);
        let keys = if holds_key {
            Keys::fixed(&[signer(&settings).verifying_key().clone()])
        } else {
            let secret = SecretString::default();
            Keys::published(Peers::new(&settings, clock.clone(), "anonymous", secret)?)
        };
        let mails = matches!(settings.role, Role::AllInOne | Role::Mailer);
        Ok(Self {
            bus: Bus::open(&settings.bus_url, settings.retry_steps.clone()),
            cache: Cache::open(&settings.cache_url)?,
            mail: if mails { Some(Mail::open(&settings, &clock)?) } else { None },
            keys,
            clock,
            settings: Arc::new(settings),
        })
    }

    /// The tables of a service.
    pub async fn database(&self, service: &str) -> anyhow::Result<Database> {
        let Settings { database_url, database_pool, .. } = &*self.settings;
        Ok(Database::connect(database_url, service, *database_pool).await?)
    }

    /// The peers, to be called in the name of a service's account.
    pub fn peers(&self, service: &'static str) -> anyhow::Result<Peers> {
        let own = &self.settings.service_secret;
        let listed = self.settings.service_secrets.iter().find(|(name, _)| name == service);
        let secret = listed.map_or(own, |(_, secret)| secret);
        Peers::new(&self.settings, self.clock.clone(), service, secret.clone())
    }

    /// What signs access tokens; the identity service's alone.
    pub fn signer(&self) -> Signer {
        signer(&self.settings)
    }

    /// A key that seals tokens of one purpose.
    pub fn seal_key(&self, purpose: &str) -> SealKey {
        SealKey::derive(self.settings.secret_key.expose_secret().as_bytes(), purpose)
    }

    /// Whether mail stays in this process for a browser to read.
    pub fn has_mailbox(&self) -> bool {
        matches!(self.settings.smtp_url, MailUrl::Mailbox(_)) && self.mail.is_some()
    }
}

fn signer(settings: &Settings) -> Signer {
    Signer::derive(settings.secret_key.expose_secret().as_bytes())
}

/// The cache key of the mark that a session has ended.
pub fn revoked_session(session: Uuid) -> String {
    format!("usher:session-revoked:{session}")
}
