//! `cargo xtask bench`: measures, with a release build and servers of its own.

use std::process::{Command, ExitCode};

use anyhow::Result;
use rustix::process::Signal;

use crate::{
    group::Group,
    interruption::Interruption,
    programs::Programs,
    progress::step,
    servers::Servers,
    test::{cargo, exit_code},
};

/// Builds the measuring program, provides the servers, runs it, and cleans up.
///
/// # Errors
///
/// A server cannot be found, installed, started or removed, or somebody interrupted.
pub fn run(arguments: &[&str], interruption: &Interruption) -> Result<ExitCode> {
    let release = ["--release", "--package", "bench"];
    let mut building = cargo();
    building.arg("build").args(release);
    let built = step("cargo build", || group(&mut building)?.wait(interruption))?;
    if !built.success() {
        return Ok(exit_code(built));
    }
    let servers = Servers::start(&Programs::provide()?, interruption)?;
    let mut measuring = cargo();
    measuring.args(["run", "--quiet"]).args(release).arg("--").args(arguments);
    measuring.envs(servers.environment());
    let measured = step("measuring", || group(&mut measuring)?.wait(interruption));
    let stopped = step("stopping the servers", || servers.stop());
    let status = measured?;
    stopped?;
    Ok(exit_code(status))
}

fn group(command: &mut Command) -> Result<Group> {
    Group::start("cargo", command, Signal::TERM)
}
