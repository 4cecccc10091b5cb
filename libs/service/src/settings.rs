//! Settings: one name in file, environment and flag; every wrong one is named with its expected
//! form before anything starts.

mod parse;
mod raw;
mod reader;
mod table;

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr as _, sync::Arc, time::Duration};

use bus::{BusUrl, RetrySteps};
use cache::CacheUrl;
use db::DatabaseUrl;
use kernel::{EmailAddress, MailDomain};
use lettre::transport::smtp::client::Certificate;
use secrecy::SecretString;

use crate::{Dkim, MailUrl};
use parse::*;
pub use raw::RawSettings;
use reader::Reader;
pub use table::{SETTINGS, Setting};

/// Which process the settings are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `usher up`: everything in one process.
    AllInOne,
    /// `usher migrate`.
    Migrate,
    /// `usher serve identity`.
    Identity,
    /// `usher serve organisation`.
    Organisation,
    /// `usher serve notification`.
    Notification,
    /// `usher serve mailer`.
    Mailer,
    /// `usher serve gateway`.
    Gateway,
}

impl Role {
    /// The service's name, which is also its account's.
    pub fn name(self) -> &'static str {
        match self {
            Self::AllInOne => "usher",
            Self::Migrate => "migrate",
            Self::Identity => "identity",
            Self::Organisation => "organisation",
            Self::Notification => "notification",
            Self::Mailer => "mailer",
            Self::Gateway => "gateway",
        }
    }

    fn default_ports(self) -> (u16, u16) {
        match self {
            Self::Identity => (50051, 9464),
            Self::Organisation => (50052, 9465),
            Self::Notification => (50053, 9466),
            Self::Mailer => (0, 9467),
            Self::Gateway => (8080, 9468),
            Self::AllInOne | Self::Migrate => (8080, 9464),
        }
    }

    pub(crate) fn reads(self, setting: &Setting) -> bool {
        match self {
            Self::AllInOne => true,
            Self::Migrate => ["environment", "allow_embedded", "database_url", "database_pool"]
                .contains(&setting.name),
            role => setting.read_by.contains(&role),
        }
    }
}

/// How careful to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// Refuses embedded parts unless told so by name.
    Production,
    /// Takes whatever is configured.
    Development,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// For programs.
    Json,
}

/// What is wrong with the settings, all at once.
#[derive(Debug)]
pub struct SettingsError(Vec<String>);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the settings are not right:")?;
        self.0.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl std::error::Error for SettingsError {}

/// The largest of the limits that count things.
const MANY: u64 = 1_000_000_000;

/// Settings, parsed.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "documented once, in the table of settings")]
pub struct Settings {
    pub role: Role,
    pub environment: Environment,
    pub database_url: DatabaseUrl,
    pub bus_url: BusUrl,
    pub cache_url: CacheUrl,
    pub smtp_url: MailUrl,
    pub smtp_ca: Option<Certificate>,
    pub mail_from: EmailAddress,
    pub bounce_folder: Option<PathBuf>,
    pub mail_sender_domains: Vec<MailDomain>,
    pub dkim: Option<Arc<Dkim>>,
    pub mails_at_once: usize,
    pub mails_at_once_per_domain: usize,
    pub mails_per_domain_minute: u32,
    pub public_url: String,
    pub listen: SocketAddr,
    pub management_listen: SocketAddr,
    pub identity_url: String,
    pub organisation_url: String,
    pub notification_url: String,
    pub secret_key: SecretString,
    pub service_secret: SecretString,
    pub service_secrets: Vec<(String, SecretString)>,
    pub owner_email: EmailAddress,
    pub owner_password: Option<SecretString>,
    pub log_format: LogFormat,
    pub log_filter: String,
    pub otlp_endpoint: Option<String>,
    pub database_pool: u32,
    pub hashing_permits: usize,
    pub rpc_timeout: Duration,
    pub concurrent_streams: u32,
    pub message_bytes: usize,
    pub body_bytes: usize,
    pub retry_steps: RetrySteps,
    pub relay_window: u64,
    pub organisation_depth: u32,
    pub invitation_life: kernel::Duration,
    pub access_request_overdue_days: i64,
    pub access_request_expiry_days: i64,
    pub invitation_reminder: kernel::Duration,
    pub invitations_per_inviter_hour: u64,
    pub invitations_per_organisation_day: u64,
    pub mails_per_recipient_day: u64,
    pub callback_private_networks: bool,
}

impl Settings {
    /// Parses what was found, for one role. Settings of other roles may be present: one file can
    /// serve a whole platform.
    pub fn parse(raw: &RawSettings, role: Role) -> Result<Self, SettingsError> {
        let mut reader = Reader { raw, role, wrong: Vec::new() };
        reader.reject_unknown();
        let (port, management) = role.default_ports();
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let mut settings = Self {
            role,
            environment: reader.read("environment", parse_environment, Environment::Production),
            database_url: reader.needed("database_url", DatabaseUrl::parse, unset_database()),
            bus_url: reader.needed("bus_url", BusUrl::parse, BusUrl::Memory),
            cache_url: reader.needed("cache_url", CacheUrl::parse, CacheUrl::Memory),
            smtp_url: reader.needed("smtp_url", MailUrl::parse, MailUrl::Mailbox(PathBuf::new())),
            smtp_ca: reader.read("smtp_ca", parse_authorities, None),
            mail_sender_domains: reader.read("mail_sender_domains", parse_domains, Vec::new()),
            dkim: None,
            mails_at_once: reader.number("mails_at_once", 2, 96),
            mails_at_once_per_domain: reader.number("mails_at_once_per_domain", 1, 200),
            mails_per_domain_minute: reader.number("mails_per_domain_minute", 0, 1_000_000),
            mail_from: reader.email("mail_from"),
            bounce_folder: reader.read("bounce_folder", parse_folder, None),
            public_url: reader.read("public_url", parse_origin, "http://127.0.0.1:8080".into()),
            listen: reader.read("listen", SocketAddr::from_str, local(port)),
            management_listen: reader.read(
                "management_listen",
                SocketAddr::from_str,
                local(management),
            ),
            identity_url: reader.peer("identity_url", Role::Identity),
            organisation_url: reader.peer("organisation_url", Role::Organisation),
            notification_url: reader.peer("notification_url", Role::Notification),
            secret_key: reader.needed("secret_key", parse_secret, SecretString::default()),
            service_secret: reader.account_secret(),
            service_secrets: reader.needed("service_secrets", parse_secrets, Vec::new()),
            owner_email: reader.email("owner_email"),
            owner_password: reader.read("owner_password", parse_password, None),
            log_format: reader.read("log_format", parse_log_format, LogFormat::Pretty),
            log_filter: reader.read("log_filter", parse_filter, "info,lapin=error".to_owned()),
            otlp_endpoint: reader.read("otlp_endpoint", |text| parse_origin(text).map(Some), None),
            database_pool: reader.number("database_pool", 1, 500),
            hashing_permits: reader.number("hashing_permits", 1, 64),
            rpc_timeout: Duration::from_secs(reader.number("rpc_timeout_seconds", 1, 60)),
            concurrent_streams: reader.number("concurrent_streams", 1, 10_000),
            message_bytes: reader.number("message_bytes", 1_024, 16_777_216),
            body_bytes: reader.number("body_bytes", 1_024, 16_777_216),
            retry_steps: reader.read("retry_steps", RetrySteps::parse, RetrySteps::default()),
            relay_window: reader.number("relay_window", 1, 5_000),
            organisation_depth: reader.number("organisation_depth", 1, 8),
            invitation_life: reader.read(
                "invitation_life",
                parse_life,
                kernel::Duration::hours(48),
            ),
            access_request_overdue_days: reader.number("access_request_overdue_days", 2, 60),
            access_request_expiry_days: reader.number("access_request_expiry_days", 1, 365),
            invitation_reminder: reader.read(
                "invitation_reminder",
                parse_reminder,
                kernel::Duration::hours(24),
            ),
            invitations_per_inviter_hour: reader.number("invitations_per_inviter_hour", 1, MANY),
            invitations_per_organisation_day: reader.number(
                "invitations_per_organisation_day",
                1,
                MANY,
            ),
            mails_per_recipient_day: reader.number("mails_per_recipient_day", 1, MANY),
            callback_private_networks: reader.read(
                "callback_private_networks",
                bool::from_str,
                false,
            ),
        };
        if settings.mail_sender_domains.is_empty() {
            settings.mail_sender_domains =
                MailDomain::parse(settings.mail_from.domain()).into_iter().collect();
        }
        settings.dkim = reader.dkim(settings.mail_from.domain()).map(Arc::new);
        if settings.access_request_overdue_days >= settings.access_request_expiry_days {
            // What has expired cannot become overdue.
            reader.reject("access_request_overdue_days");
        }
        let allowed = reader.read("allow_embedded", parse_parts, Vec::new());
        settings.refuse_embedded(&allowed, &mut reader);
        if reader.wrong.is_empty() { Ok(settings) } else { Err(SettingsError(reader.wrong)) }
    }

    /// Mail is never dropped silently, and data never kept by accident where nobody backs it up.
    fn refuse_embedded(&self, allowed: &[String], reader: &mut Reader<'_>) {
        if self.environment == Environment::Development {
            return;
        }
        let parts = [
            ("database_url", "database", matches!(self.database_url, DatabaseUrl::Sqlite(_))),
            ("bus_url", "bus", self.bus_url == BusUrl::Memory),
            ("cache_url", "cache", self.cache_url == CacheUrl::Memory),
            ("smtp_url", "mail", matches!(self.smtp_url, MailUrl::Mailbox(_))),
        ];
        for (name, part, is_embedded) in parts {
            let set = reader.raw.0.contains_key(name);
            if set && is_embedded && reader.reads(name) && !allowed.iter().any(|a| a == part) {
                reader.wrong.push(format!(
                    "{}: production refuses an embedded {part}; expected a server, or \
                     USHER_ALLOW_EMBEDDED={part}, or USHER_ENVIRONMENT=development",
                    reader.place(name)
                ));
            }
        }
    }
}

fn unset_database() -> DatabaseUrl {
    DatabaseUrl::Sqlite(PathBuf::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(pairs: &[(&str, &str)]) -> RawSettings {
        let mut raw = RawSettings::default();
        let mut wrong = Vec::new();
        raw.read_environment(
            pairs.iter().map(|(name, value)| (format!("USHER_{name}"), (*value).to_owned())),
            &mut wrong,
        );
        assert!(wrong.is_empty());
        raw
    }

    fn refusal(pairs: &[(&str, &str)], role: Role) -> String {
        Settings::parse(&raw(pairs), role).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn every_wrong_setting_is_named_at_once_with_its_expected_form() {
        let text = refusal(
            &[("BUS_URL", "http://rabbit"), ("LOG_FORMAT", "xml"), ("DATABSE_URL", "x")],
            Role::Mailer,
        );
        for part in [
            "USHER_BUS_URL: expected amqp://",
            "USHER_LOG_FORMAT: expected pretty or json",
            "USHER_DATABSE_URL: there is no such setting",
            "USHER_SMTP_URL: missing; expected smtps://",
            "USHER_SERVICE_SECRET: missing",
        ] {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
        assert!(!text.contains("DATABASE_URL: missing"), "the mailer has no tables: {text}");
    }

    #[test]
    fn production_refuses_an_embedded_part_unless_told_by_name() {
        let secret = "0123456789abcdef0123456789abcdef";
        let mut pairs = vec![
            ("BUS_URL", "memory:"),
            ("CACHE_URL", "redis://127.0.0.1"),
            ("SMTP_URL", "smtp://127.0.0.1:25"),
            ("SERVICE_SECRET", secret),
        ];
        assert!(refusal(&pairs, Role::Mailer).contains("refuses an embedded bus"));
        pairs.push(("ALLOW_EMBEDDED", "bus"));
        assert!(Settings::parse(&raw(&pairs), Role::Mailer).is_ok());
        pairs.pop();
        pairs.push(("ENVIRONMENT", "development"));
        assert!(Settings::parse(&raw(&pairs), Role::Mailer).is_ok());
    }

    #[test]
    fn mails_are_signed_if_there_is_a_key_and_a_name_for_it() {
        let key = include_str!("mail/dkim/tests/ed25519.pem");
        let mailer = |pairs: &[(&str, &str)]| {
            let basis = [
                ("BUS_URL", "memory:"),
                ("ENVIRONMENT", "development"),
                ("CACHE_URL", "memory:"),
                ("SMTP_URL", "smtps://mx.example"),
                ("MAIL_FROM", "usher@platform.example"),
                ("SERVICE_SECRET", "0123456789abcdef0123456789abcdef"),
            ];
            let settings = Settings::parse(&raw(&[&basis, pairs].concat()), Role::Mailer);
            settings.map(|settings| settings.dkim.map(|dkim| format!("{dkim:?}")))
        };
        let (key, selector) = (("DKIM_KEY", key), ("DKIM_SELECTOR", "mails2026"));
        assert_eq!(mailer(&[]).unwrap(), None);
        let signs = |domain: &str| Some(format!("mails2026 at {domain}"));
        assert_eq!(mailer(&[key, selector]).unwrap(), signs("platform.example"));
        let other = ("DKIM_DOMAIN", "example.com");
        assert_eq!(mailer(&[key, selector, other]).unwrap(), signs("example.com"));
        for (pairs, wrong) in [
            (&[key][..], "USHER_DKIM_SELECTOR: expected"),
            (&[selector], "USHER_DKIM_KEY: expected"),
            (&[key, ("DKIM_SELECTOR", "a b; d=evil.example")], "USHER_DKIM_SELECTOR: expected"),
            (&[("DKIM_KEY", "hunter2"), selector], "USHER_DKIM_KEY: expected"),
        ] {
            let text = mailer(pairs).unwrap_err().to_string();
            assert!(text.contains(wrong) && !text.contains("hunter2"), "{text}");
            assert_eq!(text.lines().count(), 2, "{text}");
        }
    }

    #[test]
    fn a_private_authority_is_given_by_its_certificate() {
        let mailer = |ca: &str| refusal(&[("SMTP_CA", ca)], Role::Mailer);
        assert!(!mailer(include_str!("mail/smtp/tests/ca.pem")).contains("USHER_SMTP_CA"));
        for wrong in ["", "hunter2", include_str!("mail/smtp/tests/server-key.pem")] {
            let text = mailer(wrong);
            assert_eq!(text.contains("USHER_SMTP_CA: expected"), !wrong.is_empty(), "{text}");
        }
    }

    #[test]
    fn the_life_of_a_link_is_hours_or_days() {
        for (text, hours) in [("1h", 1), ("48h", 48), ("14d", 336), ("90d", 2_160)] {
            assert_eq!(parse_life(text), Ok(kernel::Duration::hours(hours)), "{text}");
        }
        for bad in ["", "0", "h", "48", "0h", "59m", "91d", "2161h", "-1h", "1.5d", "99999999d"] {
            assert!(parse_life(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_has_expired_cannot_become_overdue() {
        let text = refusal(&[("ACCESS_REQUEST_EXPIRY_DAYS", "5")], Role::Organisation);
        assert!(text.contains("USHER_ACCESS_REQUEST_OVERDUE_DAYS: expected 2 to 60"), "{text}");
        let text = refusal(&[("ACCESS_REQUEST_EXPIRY_DAYS", "6")], Role::Organisation);
        assert!(!text.contains("OVERDUE"), "{text}");
    }

    #[test]
    fn a_secret_comes_from_a_file_and_is_not_repeated_in_an_error() {
        let file = std::env::temp_dir().join(format!("usher-secret-{}", std::process::id()));
        std::fs::write(&file, "hunter2\n").unwrap();
        let text = refusal(
            &[("SERVICE_SECRET_FILE", file.to_str().unwrap()), ("CACHE_URL", "redis://x")],
            Role::Gateway,
        );
        std::fs::remove_file(&file).unwrap();
        assert!(text.contains("USHER_SERVICE_SECRET_FILE: expected at least 32"), "{text}");
        assert!(!text.contains("hunter2"));
    }
}
