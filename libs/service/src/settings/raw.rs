use std::{collections::BTreeMap, fmt, path::Path, str::FromStr as _};

use super::{SETTINGS, SettingsError};

/// Settings as they were found, by name.
#[derive(Clone, Default)]
pub struct RawSettings(pub(super) BTreeMap<String, Found>);

#[derive(Clone)]
pub(super) struct Found {
    pub(super) text: String,
    /// `USHER_BUS_URL` or the file's line, to name it in an error.
    pub(super) place: String,
}

impl RawSettings {
    /// Reads the environment (`USHER_…`, and `USHER_…_FILE` for secrets) over the optional file.
    pub fn load(file: Option<&Path>) -> Result<Self, SettingsError> {
        let mut raw = Self::default();
        let mut wrong = Vec::new();
        if let Some(file) = file {
            raw.read_file(file, &mut wrong);
        }
        raw.read_environment(std::env::vars(), &mut wrong);
        if wrong.is_empty() { Ok(raw) } else { Err(SettingsError(wrong)) }
    }

    /// Sets a value as a flag of the command does: over file and environment.
    pub fn set(&mut self, name: &str, value: impl fmt::Display) {
        self.put(name.to_owned(), value.to_string(), format!("--{}", name.replace('_', "-")));
    }

    /// Sets a value unless there is one.
    pub fn set_default(&mut self, name: &str, value: impl fmt::Display) {
        if !self.0.contains_key(name) {
            self.set(name, value);
        }
    }

    fn put(&mut self, name: String, text: String, place: String) {
        self.0.insert(name, Found { text, place });
    }

    fn read_file(&mut self, file: &Path, wrong: &mut Vec<String>) {
        let read = std::fs::read_to_string(file).map_err(|error| error.to_string());
        let table = read.and_then(|text| toml::Table::from_str(&text).map_err(|e| e.to_string()));
        let table = match table {
            Ok(table) => table,
            Err(error) => return wrong.push(format!("{}: {error}", file.display())),
        };
        for (name, value) in table {
            let place = format!("{name} in {}", file.display());
            match value {
                toml::Value::String(text) => self.put(name, text, place),
                toml::Value::Integer(number) => self.put(name, number.to_string(), place),
                _ => wrong.push(format!("{place}: expected a text or a whole number")),
            }
        }
    }

    pub(super) fn read_environment(
        &mut self,
        variables: impl Iterator<Item = (String, String)>,
        wrong: &mut Vec<String>,
    ) {
        for (variable, value) in variables {
            let Some(name) = variable.strip_prefix("USHER_").map(str::to_lowercase) else {
                continue;
            };
            if is_not_a_setting(&name) {
                continue;
            }
            let file_of = name.strip_suffix("_file").filter(|name| {
                SETTINGS.iter().any(|setting| setting.secret && setting.name == *name)
            });
            match file_of {
                Some(name) => match std::fs::read_to_string(&value) {
                    Ok(text) => self.put(name.to_owned(), text.trim().to_owned(), variable),
                    Err(error) => wrong.push(format!("{variable}: {value}: {error}")),
                },
                None => self.put(name, value, variable),
            }
        }
    }
}

/// What else begins with `USHER_`: the file's own name, what the command's client verbs are told, what
/// tests are told, and what Kubernetes says of a service that is called usher-something.
fn is_not_a_setting(name: &str) -> bool {
    matches!(name, "config" | "password" | "token" | "account_secret" | "account_secret_file")
        || name.starts_with("test_")
        || name.ends_with("_service_host")
        || name.contains("_service_port")
        || name.ends_with("_port")
        || name.contains("_port_")
}
