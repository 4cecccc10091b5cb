//! Where the servers' programs are on this machine, and how they get there.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use rustix::process::geteuid;

use crate::progress::{say, step};

/// Installs the packages named as its arguments, and does not let them start their services.
///
/// Debian asks `policy-rc.d` before it starts one. Where the machine has its own, its owner has
/// decided, and it stays; otherwise there is one for as long as the installation takes.
const INSTALL: &str = r#"
set -eu
exec >&2
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq --option DPkg::Lock::Timeout=300 install --yes --no-install-recommends "$@"
"#;

/// The programs that the private servers are made of.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The folder with `initdb`, `postgres` and `pg_isready`.
    pub postgres: PathBuf,
    /// RabbitMQ's own script. The wrapper that Debian puts on the path changes the user and
    /// forgets the environment.
    pub rabbitmq: PathBuf,
    /// Erlang's port mapper, which RabbitMQ needs.
    pub epmd: PathBuf,
    /// `redis-server`.
    pub redis: PathBuf,
}

impl Programs {
    /// Finds the programs, after installing those that are missing where that is possible.
    ///
    /// # Errors
    ///
    /// A program is missing and cannot be installed; the message says what to install.
    pub fn provide() -> Result<Self> {
        let missing = missing();
        if !missing.is_empty() {
            step(&format!("installing {}", missing.join(", ")), || install(&missing))?;
        }
        let found = || {
            Some(Self {
                postgres: postgres()?,
                rabbitmq: rabbitmq()?,
                epmd: on_path("epmd")?,
                redis: on_path("redis-server")?,
            })
        };
        found().with_context(|| format!("still missing: {}", self::missing().join(", ")))
    }
}

/// The Debian packages whose programs are not here.
fn missing() -> Vec<&'static str> {
    let mut packages = Vec::new();
    if postgres().is_none() {
        packages.push("postgresql");
    }
    if rabbitmq().is_none() || on_path("epmd").is_none() {
        packages.push("rabbitmq-server");
    }
    if on_path("redis-server").is_none() {
        packages.push("redis-server");
    }
    packages
}

fn install(packages: &[&str]) -> Result<()> {
    if on_path("apt-get").is_none() {
        bail!(
            "this machine has no apt-get; the tests need PostgreSQL (initdb, postgres and \
             pg_isready), RabbitMQ 3.10 or later (rabbitmq-server, and Erlang's epmd) and Redis \
             (redis-server) on the path. Install what provides: {}",
            packages.join(", ")
        );
    }
    let mut command = if geteuid().is_root() {
        Command::new("sh")
    } else if let Some(sudo) = on_path("sudo") {
        say("sudo may ask for your password");
        let mut command = Command::new(sudo);
        command.arg("sh");
        command
    } else {
        bail!(
            "without root and sudo nothing can be installed; as root, run: apt-get install {}",
            packages.join(" ")
        );
    };
    // In this process's own group, so that sudo may read from the terminal, and waited for even
    // after a signal: a half-configured package would be worse than a late end.
    let status = command.args(["-c", INSTALL, "install"]).args(packages).status()?;
    if !status.success() {
        bail!("apt-get failed: {status}");
    }
    Ok(())
}

/// Debian keeps each major version in a folder that is not on the path; the newest is taken.
fn postgres() -> Option<PathBuf> {
    newest_postgres(Path::new("/usr/lib/postgresql"))
        .or_else(|| Some(fs::canonicalize(on_path("initdb")?).ok()?.parent()?.into()))
        .filter(|folder| {
            ["initdb", "postgres", "pg_isready"]
                .iter()
                .all(|program| folder.join(program).is_file())
        })
}

fn newest_postgres(versions: &Path) -> Option<PathBuf> {
    fs::read_dir(versions)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .map(|version| (version, versions.join(version.to_string()).join("bin")))
        .filter(|(_, folder)| folder.join("initdb").is_file())
        .max()
        .map(|(_, folder)| folder)
}

fn rabbitmq() -> Option<PathBuf> {
    let script = PathBuf::from("/usr/lib/rabbitmq/bin/rabbitmq-server");
    if script.is_file() {
        return Some(script);
    }
    on_path("rabbitmq-server")
}

/// Looks in the folders for administrators as well, which an ordinary user's path often lacks.
fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    find(program, &path).or_else(|| find(program, OsStr::new("/usr/sbin:/sbin")))
}

fn find(program: &str, path: &OsStr) -> Option<PathBuf> {
    env::split_paths(path).map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_postgres_is_taken_by_number() -> Result<()> {
        let versions = tempfile::tempdir()?;
        for version in ["9", "15", "common"] {
            let folder = versions.path().join(version).join("bin");
            fs::create_dir_all(&folder)?;
            fs::write(folder.join("initdb"), "")?;
        }
        fs::create_dir_all(versions.path().join("16/bin"))?;
        assert_eq!(
            newest_postgres(versions.path()),
            Some(versions.path().join("15/bin")),
            "16 is only a client, without initdb"
        );
        Ok(())
    }

    #[test]
    fn a_program_is_found_in_the_first_folder_that_has_it() -> Result<()> {
        let folders = [tempfile::tempdir()?, tempfile::tempdir()?];
        let path = env::join_paths(folders.iter().map(tempfile::TempDir::path))?;
        assert_eq!(find("redis-server", &path), None);
        let program = folders[1].path().join("redis-server");
        fs::write(&program, "")?;
        assert_eq!(find("redis-server", &path), Some(program));
        Ok(())
    }
}
