//! A private Redis that keeps nothing.

use std::{fs, path::Path, process::Command};

use anyhow::Result;
use rustix::process::Signal;

use super::{Server, answers};
use crate::{group::Group, interruption::Interruption};

/// Starts it and waits for its answer to a ping.
///
/// # Errors
///
/// It ends or does not answer.
pub fn start(program: &Path, room: &Path, port: u16, interruption: &Interruption) -> Result<Group> {
    let home = room.join("redis");
    fs::create_dir_all(&home)?;
    let server = Server::start(
        "redis",
        Command::new(program)
            .current_dir(&home)
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            // A numbered database for each test.
            .args(["--save", "", "--appendonly", "no", "--databases", "1024"])
            .arg("--dir")
            .arg(&home),
        room,
        Signal::TERM,
    )?;
    server.ready_when(interruption, || answers(port, b"PING\r\n", b"+PONG\r\n"))
}
