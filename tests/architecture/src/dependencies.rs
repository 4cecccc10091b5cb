//! Who may depend on whom.

use crate::workspace::Member;

/// Services never depend on one another, and nothing but `usher` depends on several of them: a
/// library depends on none, and what is under `tests/` on `usher` alone.
#[must_use]
pub fn on_services(members: &[Member]) -> Vec<String> {
    let services: Vec<&str> = members
        .iter()
        .filter(|member| member.folder.starts_with("services/"))
        .map(|member| member.name.as_str())
        .collect();
    offences(members, |member, dependency| {
        let allowed = match member.folder.split('/').next() {
            Some("services") => member.name == "usher",
            Some("tests") => dependency == "usher",
            _ => false,
        };
        services.contains(&dependency) && !allowed
    })
}

/// The kernel depends on nothing of ours.
#[must_use]
pub fn of_the_kernel(members: &[Member]) -> Vec<String> {
    let ours: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
    offences(members, |member, dependency| member.name == "kernel" && ours.contains(&dependency))
}

/// Telemetry is set up in `service`; everybody else uses `tracing`.
#[must_use]
pub fn on_telemetry(members: &[Member]) -> Vec<String> {
    offences(members, |member, dependency| {
        let telemetry = dependency.starts_with("opentelemetry")
            || matches!(dependency, "tracing-opentelemetry" | "tracing-subscriber");
        telemetry && member.name != "service"
    })
}

/// The database driver is known to `db` alone.
#[must_use]
pub fn on_the_driver(members: &[Member]) -> Vec<String> {
    offences(members, |member, dependency| dependency == "sqlx" && member.name != "db")
}

/// The only provider of cryptography for TLS is *ring*. `lock` is the text of `Cargo.lock`.
#[must_use]
pub fn on_cryptography(lock: &str) -> Vec<String> {
    const OTHERS: [&str; 5] = ["aws-lc-rs", "aws-lc-sys", "native-tls", "openssl", "openssl-sys"];
    lock.lines()
        .filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'))
        .filter(|name| OTHERS.contains(name))
        .map(|name| format!("Cargo.lock has `{name}`; `cargo tree --invert {name}` tells why"))
        .collect()
}

fn offences(members: &[Member], offends: impl Fn(&Member, &str) -> bool) -> Vec<String> {
    let mut offences = Vec::new();
    for member in members {
        for dependency in &member.dependencies {
            if offends(member, dependency) {
                let (folder, name) = (&member.folder, &member.name);
                offences.push(format!("{folder}/Cargo.toml: `{name}` depends on `{dependency}`"));
            }
        }
    }
    offences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(folder: &str, dependencies: &[&str]) -> Member {
        Member {
            name: folder.rsplit('/').next().unwrap_or(folder).to_owned(),
            folder: folder.to_owned(),
            dependencies: dependencies.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn a_dependency_on_a_service_is_caught() {
        let members = [
            member("services/identity", &["kernel"]),
            member("services/mailer", &["kernel", "identity"]),
            member("services/usher", &["identity", "mailer"]),
            member("libs/testkit", &["mailer"]),
            member("tests/stories", &["usher", "identity"]),
        ];
        assert_eq!(
            on_services(&members),
            [
                "services/mailer/Cargo.toml: `mailer` depends on `identity`",
                "libs/testkit/Cargo.toml: `testkit` depends on `mailer`",
                "tests/stories/Cargo.toml: `stories` depends on `identity`",
            ]
        );
    }

    #[test]
    fn a_dependency_of_the_kernel_is_caught() {
        let members = [member("libs/kernel", &["uuid", "db"]), member("libs/db", &["kernel"])];
        assert_eq!(of_the_kernel(&members), ["libs/kernel/Cargo.toml: `kernel` depends on `db`"]);
    }

    #[test]
    fn telemetry_outside_its_place_is_caught() {
        let members = [
            member("libs/service", &["opentelemetry", "tracing-subscriber"]),
            member("libs/bus", &["tracing", "opentelemetry_sdk"]),
        ];
        assert_eq!(
            on_telemetry(&members),
            ["libs/bus/Cargo.toml: `bus` depends on `opentelemetry_sdk`"]
        );
    }

    #[test]
    fn the_driver_outside_its_place_is_caught() {
        let members = [member("libs/db", &["sqlx"]), member("libs/testkit", &["sqlx"])];
        assert_eq!(
            on_the_driver(&members),
            ["libs/testkit/Cargo.toml: `testkit` depends on `sqlx`"]
        );
    }

    #[test]
    fn another_provider_of_cryptography_is_caught() {
        let lock = "[[package]]\nname = \"openssl-probe\"\n[[package]]\nname = \"aws-lc-rs\"\n";
        assert_eq!(
            on_cryptography(lock),
            ["Cargo.lock has `aws-lc-rs`; `cargo tree --invert aws-lc-rs` tells why"]
        );
    }
}
