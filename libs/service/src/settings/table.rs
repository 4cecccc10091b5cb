//! Every setting, once: the list that `--help`, the README and the reader share.

use super::Role;

/// One setting.
pub struct Setting {
    /// In the file as it stands; in the environment as `USHER_` and upper case.
    pub name: &'static str,
    /// Its form, as a phrase.
    pub expected: &'static str,
    /// What holds when it is left out; empty if nothing.
    pub default: &'static str,
    /// Who reads it.
    pub read_by: &'static [Role],
    /// What it does.
    pub about: &'static str,
    /// Whether `USHER_…_FILE` may name a file that holds it, and it is never printed.
    pub secret: bool,
}

use Role::{Gateway, Identity, Mailer, Notification, Organisation};

const ALL: &[Role] = &[Identity, Organisation, Notification, Mailer, Gateway];
const STORING: &[Role] = &[Identity, Organisation, Notification];
const QUEUEING: &[Role] = &[Identity, Organisation, Notification, Mailer];

const fn plain(
    name: &'static str,
    expected: &'static str,
    default: &'static str,
    read_by: &'static [Role],
    about: &'static str,
) -> Setting {
    Setting { name, expected, default, read_by, about, secret: false }
}

const fn secret(
    name: &'static str,
    expected: &'static str,
    default: &'static str,
    read_by: &'static [Role],
    about: &'static str,
) -> Setting {
    Setting { name, expected, default, read_by, about, secret: true }
}

/// Every setting.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    plain("environment", "production or development", "production", ALL, "Production refuses embedded parts"),
    plain("allow_embedded", "a comma-separated list of database, bus, cache, mail", "", ALL, "Embedded parts that production may use all the same"),
    secret("database_url", "postgres://USER:PASSWORD@HOST/DATABASE or sqlite:DIRECTORY", "", STORING, "Each service takes the schema (or file) of its own name"),
    secret("bus_url", "amqp://USER:PASSWORD@HOST/VHOST, amqps://… or memory:", "", QUEUEING, "The message broker"),
    secret("cache_url", "redis://USER:PASSWORD@HOST/DB, rediss://… or memory:", "", ALL, "The cache"),
    secret("smtp_url", "smtps://USER:PASSWORD@HOST:PORT, smtp://USER:PASSWORD@HOST:PORT?tls=required (without a password also tls=opportunistic or tls=none; to this machine tls may be left out) or mailbox:DIRECTORY", "", &[Mailer], "The mail server, or a mailbox that a browser can read"),
    secret("smtp_ca", "certificates in PEM", "", &[Mailer], "Authorities that may have certified the mail server, beside the public ones"),
    plain("bounce_folder", "a folder: a maildir, or one with .eml files", "", &[Notification], "Where reports about mails that came back arrive; empty means nowhere"),
    plain("mail_from", "a mail address such as usher@example.com", "usher@localhost.localdomain", &[Notification, Mailer], "The address that mails come from where an organisation says no other"),
    plain("mail_sender_domains", "mail domains such as example.com with commas between", "the domain of mail_from", &[Notification], "The domains of the addresses that organisations may let their mails come from"),
    secret("dkim_key", "an RSA (2048 to 4096 bits) or Ed25519 private key in PEM, with dkim_selector", "", &[Mailer], "Signs mails (DKIM); empty for no signature"),
    plain("dkim_selector", "a name such as mails2026, with dkim_key", "", &[Mailer], "The key's name: what verifies it is published at SELECTOR._domainkey.DOMAIN"),
    plain("dkim_domain", "a mail domain such as example.com", "the domain of mail_from", &[Mailer], "The domain that signs; mails from addresses of another one, which is not below it, are not signed"),
    plain("mails_at_once", "2 to 96", "48", &[Mailer], "Mails on their way to the mail server at once from each mailer, half of them to slow domains; the server must allow twice as many connections, for as many again may wait for its last answer"),
    plain("mails_at_once_per_domain", "1 to 200", "8", &[Mailer], "Those of them to the addresses of one domain; more than a quarter of mails_at_once counts as that quarter"),
    plain("mails_per_domain_minute", "0 to 1000000", "0", &[Mailer], "Mails to the addresses of one domain within a minute; 0 for as many as there are"),
    plain("public_url", "http://HOST or https://HOST, without a path", "http://127.0.0.1:8080", &[Organisation, Notification, Gateway], "Where people reach the gateway: links in mails start with it"),
    plain("listen", "ADDRESS:PORT", "127.0.0.1 and 50051 identity, 50052 organisation, 50053 notification, 8080 gateway", ALL, "Where the service listens"),
    plain("management_listen", "ADDRESS:PORT", "127.0.0.1 and 9464 identity, 9465 organisation, 9466 notification, 9467 mailer, 9468 gateway", ALL, "/livez, /readyz and /metrics in plain HTTP"),
    plain("identity_url", "http://HOST:PORT", "http://127.0.0.1:50051", ALL, "The identity service"),
    plain("organisation_url", "http://HOST:PORT", "http://127.0.0.1:50052", ALL, "The organisation service"),
    plain("notification_url", "http://HOST:PORT", "http://127.0.0.1:50053", ALL, "The notification service"),
    secret("secret_key", "at least 32 characters", "", &[Identity, Organisation, Notification], "Signs access and refresh tokens (identity), seals links (organisation, notification); each service its own"),
    secret("service_secret", "at least 32 characters", "", &[Organisation, Notification, Mailer, Gateway], "The secret of this service's account"),
    secret("service_secrets", "NAME=SECRET pairs with commas between; a secret has at least 32 characters and no comma", "", &[Identity], "The secrets of the accounts organisation, notification, mailer and gateway"),
    plain("owner_email", "a mail address such as ada@example.com", "owner@usher.localhost.localdomain", &[Identity], "The platform owner, created at the first start"),
    secret("owner_password", "15 to 128 characters", "", &[Identity], "Their password; without it one is generated and printed once"),
    plain("log_format", "pretty or json", "pretty", ALL, "One line an event for people, or JSON for programs"),
    plain("log_filter", "tracing directives such as info,organisation=debug", "info,lapin=error", ALL, "What is logged"),
    plain("otlp_endpoint", "http://HOST:4317", "", ALL, "Where traces go (OTLP over gRPC); empty means nowhere"),
    plain("database_pool", "1 to 500", "16", STORING, "Connections to the database"),
    plain("hashing_permits", "1 to 64", "2", &[Identity], "Passwords hashed at once; each takes 19 MiB and a core"),
    plain("rpc_timeout_seconds", "1 to 60", "10", ALL, "The longest that a call may take; a caller's shorter deadline wins"),
    plain("concurrent_streams", "1 to 10000", "256", ALL, "gRPC calls at once on a connection"),
    plain("message_bytes", "1024 to 16777216", "1048576", ALL, "The largest gRPC message"),
    plain("body_bytes", "1024 to 16777216", "65536", &[Gateway], "The largest HTTP body"),
    plain("retry_steps", "1 to 20 spans from 1s to 1d with commas between, such as 5s,1m,2h", "5s,1m,5m,30m,2h,5h,10h", QUEUEING, "How long a message that was refused waits before each further attempt; then it is set aside"),
    plain("relay_window", "1 to 5000", "500", STORING, "Events published before their confirmations are awaited"),
    plain("organisation_depth", "1 to 8", "2", &[Organisation], "Tiers of the organisation tree"),
    plain("invitation_life", "a span such as 48h or 14d, from 1h to 90d", "48h", &[Organisation], "How long an invitation's link works"),
    plain("access_request_overdue_days", "2 to 60, less than access_request_expiry_days", "5", &[Organisation], "After how many days an undecided access request is overdue"),
    plain("access_request_expiry_days", "1 to 365", "90", &[Organisation], "After how many days an undecided access request expires"),
    plain("invitation_reminder", "0, or a span such as 90m, 24h or 3d, at most 30d", "24h", &[Organisation], "How long before its end an invitation that lives twice as long is reminded of; 0 for never"),
    plain("invitations_per_inviter_hour", "1 to 1000000000", "20000", &[Organisation], "Invitations and reissues by one inviter within an hour"),
    plain("invitations_per_organisation_day", "1 to 1000000000", "50000", &[Organisation], "Invitations and reissues of one organisation within a day"),
    plain("mails_per_recipient_day", "1 to 1000000000", "20", &[Organisation], "Invitations and reissues to one address within a day, by whomever"),
    plain("callback_private_networks", "true or false", "false", &[Organisation], "Whether callbacks may go to private and local addresses"),
];
