use std::fmt;

use anyhow::Context as _;
use secrecy::SecretString;

use super::Options;

/// In whose name the services are asked.
pub(super) enum Credentials {
    /// A person, who signs in.
    Person { email: String, password: SecretString },
    /// A service account.
    Account { name: String, secret: SecretString },
    /// An access token that somebody else has got.
    Token(SecretString),
}

/// Something that was typed makes no sense: the command ends with 2, as for an unknown option.
#[derive(Debug)]
pub struct UsageError(String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

impl UsageError {
    pub(super) fn told(what: impl fmt::Display) -> anyhow::Error {
        Self(what.to_string()).into()
    }
}

impl Credentials {
    /// What the options name, with its secret from the environment or from a prompt. Secrets are no
    /// options: everybody on a machine sees those.
    pub(super) fn of(
        options: &Options,
        variable: impl Fn(&str) -> Option<String>,
        prompt: impl FnOnce(&str) -> std::io::Result<String>,
    ) -> anyhow::Result<Self> {
        let variable = |name| variable(name).filter(|text| !text.is_empty());
        if let Some(email) = options.email.clone() {
            let password = match variable("USHER_PASSWORD") {
                Some(password) => password,
                None => prompt(&format!("Password of {email}: ")).map_err(|_| {
                    UsageError::told(
                        "there is no terminal to ask for the password: set USHER_PASSWORD",
                    )
                })?,
            };
            return Ok(Self::Person { email, password: password.into() });
        }
        if let Some(name) = options.account.clone() {
            let secret =
                match (variable("USHER_ACCOUNT_SECRET"), variable("USHER_ACCOUNT_SECRET_FILE")) {
                    (Some(secret), _) => secret,
                    (None, Some(file)) => {
                        std::fs::read_to_string(&file).context(file)?.trim().to_owned()
                    }
                    (None, None) => {
                        return Err(UsageError::told(
                            "--account needs USHER_ACCOUNT_SECRET or USHER_ACCOUNT_SECRET_FILE",
                        ));
                    }
                };
            return Ok(Self::Account { name, secret: secret.into() });
        }
        match variable("USHER_TOKEN") {
            Some(token) => Ok(Self::Token(token.into())),
            None => Err(UsageError::told(
                "say who you are: --email ADDRESS, --account NAME, or a token in USHER_TOKEN",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::{super::Output, *};

    fn options(email: Option<&str>, account: Option<&str>) -> Options {
        Options {
            server: String::new(),
            notification: String::new(),
            identity: String::new(),
            email: email.map(str::to_owned),
            account: account.map(str::to_owned),
            output: Output::Table,
        }
    }

    fn of(options: &Options, variables: &[(&str, &str)]) -> Result<String, String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let typed = |_: &str| Ok("typed".to_owned());
        match Credentials::of(options, variable, typed) {
            Ok(Credentials::Person { email, password }) => {
                Ok(format!("{email} {}", password.expose_secret()))
            }
            Ok(Credentials::Account { name, secret }) => {
                Ok(format!("{name} {}", secret.expose_secret()))
            }
            Ok(Credentials::Token(token)) => Ok(token.expose_secret().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn what_is_typed_comes_before_what_is_around() {
        let around = [("USHER_TOKEN", "t"), ("USHER_PASSWORD", "p"), ("USHER_ACCOUNT_SECRET", "s")];
        assert_eq!(
            of(&options(Some("ada@example.com"), None), &around).unwrap(),
            "ada@example.com p"
        );
        assert_eq!(of(&options(None, Some("portal")), &around).unwrap(), "portal s");
        assert_eq!(of(&options(None, None), &around).unwrap(), "t");
    }

    #[test]
    fn a_password_is_asked_for_and_a_secret_may_be_in_a_file() {
        assert_eq!(
            of(&options(Some("ada@example.com"), None), &[]).unwrap(),
            "ada@example.com typed"
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "secret\n").unwrap();
        let named = [("USHER_ACCOUNT_SECRET_FILE", file.path().to_str().unwrap())];
        assert_eq!(of(&options(None, Some("portal")), &named).unwrap(), "portal secret");
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(of(&options(None, None), &[]).unwrap_err().contains("--email"));
        let missing = of(&options(None, Some("portal")), &[("USHER_ACCOUNT_SECRET", "")]);
        assert!(missing.unwrap_err().contains("USHER_ACCOUNT_SECRET_FILE"));
    }
}
