//! `cargo xtask bench` and `cargo xtask faults`: a program of ours, with servers of its own.

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

/// Builds for release, provides the servers, and measures.
///
/// # Errors
///
/// A server cannot be found, installed, started or removed, or somebody interrupted.
pub fn bench(arguments: &[&str], interruption: &Interruption) -> Result<ExitCode> {
    run("bench", &["--release"], &["--package", "bench"], arguments, interruption)
}

/// Builds in the profile `faults`, with the debug assertions that the switches for guards and the
/// points for crashes need, provides the servers, and brings the faults about.
///
/// # Errors
///
/// The same.
pub fn faults(arguments: &[&str], interruption: &Interruption) -> Result<ExitCode> {
    let packages = ["--package", "faults", "--package", "usher"];
    run("faults", &["--profile", "faults"], &packages, arguments, interruption)
}

fn run(
    program: &str,
    profile: &[&str],
    packages: &[&str],
    arguments: &[&str],
    interruption: &Interruption,
) -> Result<ExitCode> {
    let mut building = cargo();
    building.arg("build").args(packages).args(profile);
    let built = step("cargo build", || group(&mut building)?.wait(interruption))?;
    if !built.success() {
        return Ok(exit_code(built));
    }
    let servers = Servers::start(&Programs::provide()?, interruption)?;
    let mut running = cargo();
    running.args(["run", "--quiet", "--bin", program, "--package", program]).args(profile);
    running.arg("--").args(arguments).envs(servers.environment());
    let ended = step(program, || group(&mut running)?.wait(interruption));
    let stopped = step("stopping the servers", || servers.stop());
    let status = ended?;
    stopped?;
    Ok(exit_code(status))
}

fn group(command: &mut Command) -> Result<Group> {
    Group::start("cargo", command, Signal::TERM)
}
