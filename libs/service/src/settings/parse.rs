//! The forms of settings.

use std::{convert::Infallible, path::PathBuf};

use kernel::MailDomain;
use lettre::transport::smtp::client::Certificate;
use secrecy::{ExposeSecret as _, SecretString};

use super::{Environment, LogFormat};

pub(super) fn parse_environment(text: &str) -> Result<Environment, ()> {
    match text {
        "production" => Ok(Environment::Production),
        "development" => Ok(Environment::Development),
        _ => Err(()),
    }
}

pub(super) fn parse_log_format(text: &str) -> Result<LogFormat, ()> {
    match text {
        "pretty" => Ok(LogFormat::Pretty),
        "json" => Ok(LogFormat::Json),
        _ => Err(()),
    }
}

pub(super) fn parse_filter(text: &str) -> Result<String, ()> {
    tracing_subscriber::EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|_| ())
}

/// `http://host:port` without a path, as it is written.
pub(super) fn parse_origin(text: &str) -> Result<String, ()> {
    let url = url::Url::parse(text).map_err(|_| ())?;
    let is_origin = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty();
    if is_origin { Ok(text.trim_end_matches('/').to_owned()) } else { Err(()) }
}

pub(super) fn parse_folder(text: &str) -> Result<Option<PathBuf>, Infallible> {
    Ok(Some(text.into()))
}

/// Certificates in PEM, at least one.
pub(super) fn parse_authorities(text: &str) -> Result<Option<Certificate>, ()> {
    let has_one = text.contains("-----BEGIN CERTIFICATE-----");
    let read = Certificate::from_pem(text.as_bytes()).ok().filter(|_| has_one);
    read.map(Some).ok_or(())
}

/// How long a link works: one hour to 90 days.
pub(super) fn parse_life(text: &str) -> Result<kernel::Duration, ()> {
    let life = parse_span(text)?;
    let fits = kernel::Duration::hours(1) <= life && life <= kernel::Duration::days(90);
    if fits { Ok(life) } else { Err(()) }
}

/// How long before its end something is reminded of: at most 30 days; `0` for never.
pub(super) fn parse_reminder(text: &str) -> Result<kernel::Duration, ()> {
    parse_span(text)
        .and_then(|span| if span <= kernel::Duration::days(30) { Ok(span) } else { Err(()) })
}

/// A span of time: `90m`, `24h`, `3d`; or `0`.
fn parse_span(text: &str) -> Result<kernel::Duration, ()> {
    if text == "0" {
        return Ok(kernel::Duration::zero());
    }
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or(())?;
    let minutes = match unit {
        "m" => 1,
        "h" => 60,
        "d" => 1_440,
        _ => return Err(()),
    };
    let number: u16 = number.parse().map_err(|_| ())?;
    Ok(kernel::Duration::minutes(i64::from(number) * minutes))
}

/// A peer: TLS between services is the platform's business (a mesh), so plain HTTP alone.
pub(super) fn parse_peer(text: &str) -> Result<String, ()> {
    parse_origin(text).ok().filter(|url| url.starts_with("http://")).ok_or(())
}

pub(super) fn parse_secret(text: &str) -> Result<SecretString, ()> {
    if text.len() < 32 { Err(()) } else { Ok(SecretString::from(text)) }
}

pub(super) fn parse_secrets(text: &str) -> Result<Vec<(String, SecretString)>, ()> {
    let pair = |pair: &str| {
        let (name, secret) = pair.trim().split_once('=').ok_or(())?;
        Ok((name.to_owned(), parse_secret(secret)?))
    };
    text.split(',').map(pair).collect()
}

pub(super) fn parse_password(text: &str) -> Result<Option<SecretString>, ()> {
    let secret = SecretString::from(text);
    let length = secret.expose_secret().chars().count();
    if (15..=128).contains(&length) { Ok(Some(secret)) } else { Err(()) }
}

/// One label of a domain name or several (RFC 6376, section 3.1).
pub(super) fn parse_selector(text: &str) -> Result<String, ()> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if text.split('.').all(is_label) { Ok(text.to_owned()) } else { Err(()) }
}

pub(super) fn parse_domains(text: &str) -> Result<Vec<MailDomain>, ()> {
    text.split(',').map(|domain| MailDomain::parse(domain.trim()).map_err(|_| ())).collect()
}

pub(super) fn parse_parts(text: &str) -> Result<Vec<String>, ()> {
    text.split(',')
        .map(|part| match part.trim() {
            part @ ("database" | "bus" | "cache" | "mail") => Ok(part.to_owned()),
            _ => Err(()),
        })
        .collect()
}
