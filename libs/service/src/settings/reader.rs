use std::str::FromStr;

use kernel::{EmailAddress, MailDomain};
use secrecy::SecretString;

use super::{RawSettings, Role, SETTINGS, Setting, parse_peer, parse_secret, parse_selector};
use crate::{Dkim, DkimKey};

/// Reads settings for one role, and collects what is wrong.
pub(super) struct Reader<'a> {
    pub(super) raw: &'a RawSettings,
    pub(super) role: Role,
    pub(super) wrong: Vec<String>,
}

impl Reader<'_> {
    pub(super) fn setting(name: &str) -> &'static Setting {
        SETTINGS.iter().find(|setting| setting.name == name).unwrap_or(&SETTINGS[0])
    }

    pub(super) fn reads(&self, name: &str) -> bool {
        self.role.reads(Self::setting(name))
    }

    pub(super) fn place(&self, name: &str) -> String {
        let variable = || format!("USHER_{}", name.to_uppercase());
        self.raw.0.get(name).map_or_else(variable, |found| found.place.clone())
    }

    pub(super) fn reject_unknown(&mut self) {
        for (name, found) in &self.raw.0 {
            if !SETTINGS.iter().any(|setting| setting.name == name) {
                self.wrong.push(format!("{}: there is no such setting", found.place));
            }
        }
    }

    /// Notes that a setting is wrong that reads well by itself.
    pub(super) fn reject(&mut self, name: &str) {
        let expected = Self::setting(name).expected;
        self.wrong.push(format!("{}: expected {expected}", self.place(name)));
    }

    /// Parses a setting that may be left out.
    pub(super) fn read<T, E>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
        default: T,
    ) -> T {
        let found = self.raw.0.get(name).filter(|found| !found.text.is_empty());
        let (Some(found), true) = (found, self.reads(name)) else {
            return default;
        };
        parse(&found.text).unwrap_or_else(|_| {
            // The value is not repeated: it may be a secret.
            self.wrong.push(format!("{}: expected {}", found.place, Self::setting(name).expected));
            default
        })
    }

    /// Parses a setting that whoever reads it needs.
    pub(super) fn needed<T, E>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
        unset: T,
    ) -> T {
        if self.reads(name) && self.raw.0.get(name).is_none_or(|found| found.text.is_empty()) {
            let expected = Self::setting(name).expected;
            self.wrong.push(format!("{}: missing; expected {expected}", self.place(name)));
            return unset;
        }
        self.read(name, parse, unset)
    }

    pub(super) fn account_secret(&mut self) -> SecretString {
        // The all-in-one takes every account's secret from `service_secrets`.
        if self.role == Role::AllInOne {
            return SecretString::default();
        }
        self.needed("service_secret", parse_secret, SecretString::default())
    }

    pub(super) fn email(&mut self, name: &str) -> EmailAddress {
        // The table's defaults are addresses: the fallback is never taken.
        let default = EmailAddress::parse(Self::setting(name).default)
            .unwrap_or_else(|_| unreachable!("the default of {name} is an address"));
        self.read(name, EmailAddress::parse, default)
    }

    /// What mails are signed with: a key and the name that it is published by, or neither.
    pub(super) fn dkim(&mut self, domain_of_mail_from: &str) -> Option<Dkim> {
        let before = self.wrong.len();
        let key = self.read("dkim_key", |text| DkimKey::parse(text).map(Some), None);
        let selector = self.read("dkim_selector", |text| parse_selector(text).map(Some), None);
        let own = MailDomain::parse(domain_of_mail_from).ok();
        let domain = self.read("dkim_domain", |text| MailDomain::parse(text).map(Some), own);
        match (key, selector, domain) {
            _ if self.wrong.len() > before => None,
            (Some(key), Some(selector), Some(domain)) => Some(Dkim::new(key, selector, domain)),
            (None, None, _) => None,
            (key, selector, _) => {
                let missing = match (key, selector) {
                    (None, _) => "dkim_key",
                    (_, None) => "dkim_selector",
                    _ => "dkim_domain",
                };
                self.reject(missing);
                None
            }
        }
    }

    pub(super) fn peer(&mut self, name: &str, role: Role) -> String {
        self.read(name, parse_peer, format!("http://127.0.0.1:{}", role.default_ports().0))
    }

    pub(super) fn number<T: FromStr + TryFrom<u64> + Default>(
        &mut self,
        name: &str,
        from: u64,
        to: u64,
    ) -> T {
        let parse = |text: &str| match text.parse::<u64>() {
            Ok(number) if (from..=to).contains(&number) => T::try_from(number).map_err(|_| ()),
            _ => Err(()),
        };
        let default = parse(Self::setting(name).default).unwrap_or_default();
        self.read(name, parse, default)
    }
}
