//! A private PostgreSQL: trusting, and on the loopback interface alone.

use std::{
    fs,
    os::unix::{fs::chown, process::CommandExt},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Signal, geteuid};

use super::{Server, end_of};
use crate::{group::Group, interruption::Interruption};

/// The folder of the cluster, in its room.
const DATA: &str = "postgres";

/// Creates a cluster.
///
/// # Errors
///
/// It cannot be created.
pub fn create(programs: &Path, room: &Path, interruption: &Interruption) -> Result<()> {
    let data = room.join(DATA);
    fs::create_dir(&data)?;
    let owner = owner()?;
    if let Some(owner) = owner {
        chown(&data, Some(owner.id), Some(owner.group))?;
    }
    let mut initdb = Server::start(
        "initdb",
        command(programs, "initdb", &data, owner)
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8"])
            .args(["--no-locale", "--no-sync", "--pgdata"])
            .arg(&data),
        room,
        Signal::TERM,
    )?;
    if !initdb.group.wait(interruption)?.success() {
        bail!(end_of(&initdb.log));
    }
    Ok(())
}

/// Starts the cluster of this room.
///
/// `fsync` stays on, as in production. There is no Unix socket: its path may not be longer than
/// 107 bytes, which a temporary folder's may well be.
///
/// # Errors
///
/// It does not start.
pub fn start(
    programs: &Path,
    room: &Path,
    port: u16,
    interruption: &Interruption,
) -> Result<Group> {
    let data = room.join(DATA);
    let owner = owner()?;
    let server = Server::start(
        "postgres",
        command(programs, "postgres", &data, owner)
            .arg("-D")
            .arg(&data)
            .args(["-c", "listen_addresses=127.0.0.1"])
            .args(["-c", &format!("port={port}")])
            .args(["-c", "unix_socket_directories="])
            .args(["-c", "max_connections=300"])
            .args(["-c", "shared_buffers=64MB"]),
        room,
        // A fast shutdown, which also gives the shared memory back.
        Signal::INT,
    )?;
    server.ready_when(interruption, || {
        command(programs, "pg_isready", &data, owner)
            .args(["--quiet", "--host=127.0.0.1", "--username=postgres"])
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    })
}

/// A program that runs as the owner of the cluster.
fn command(programs: &Path, program: &str, data: &Path, owner: Option<User>) -> Command {
    let mut command = Command::new(programs.join(program));
    command.current_dir(data);
    if let Some(owner) = owner {
        command.uid(owner.id).gid(owner.group);
    }
    command
}

fn owner() -> Result<Option<User>> {
    geteuid().is_root().then(unprivileged_user).transpose()
}

#[derive(Clone, Copy)]
struct User {
    id: u32,
    group: u32,
}

fn unprivileged_user() -> Result<User> {
    let users = fs::read_to_string("/etc/passwd")?;
    find_user(&users, "postgres")
        .or_else(|| find_user(&users, "nobody"))
        .context("PostgreSQL refuses root, and there is no user postgres or nobody")
}

fn find_user(users: &str, name: &str) -> Option<User> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then_some(())?;
        Some(User { id: fields.nth(1)?.parse().ok()?, group: fields.next()?.parse().ok()? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_the_whole_name() {
        let users = "root:x:0:0:root:/root:/bin/bash\n\
                     postgres-old:x:7:7::/:/bin/sh\n\
                     postgres:x:104:113:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash\n";
        let user = find_user(users, "postgres").expect("is there");
        assert_eq!((user.id, user.group), (104, 113));
        assert!(find_user(users, "nobody").is_none());
    }
}
