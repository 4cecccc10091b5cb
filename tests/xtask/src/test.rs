//! `cargo xtask test`: the one command that runs every test.

use std::{
    env,
    io::{self, BufRead, BufReader, Read, Write},
    process::{Command, ExitCode, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::process::Signal;

use crate::{
    group::Group,
    interruption::Interruption,
    programs::Programs,
    progress::{say, step},
    servers::Servers,
    totals::Totals,
};

/// Provides the servers, builds the binary, tests, cleans up, and closes with the totals.
///
/// The exit code is cargo's, and a failure where no test ran.
///
/// # Errors
///
/// A server cannot be found, installed, started or removed, or somebody interrupted.
pub fn run(arguments: &[&str], interruption: &Interruption) -> Result<ExitCode> {
    let arguments = match arguments {
        ["--", rest @ ..] => rest,
        all => all,
    };
    let programs = Programs::provide()?;
    let built = step("cargo build", || build(arguments, interruption))?;
    if !built.success() {
        return Ok(exit_code(built));
    }
    let servers = Servers::start(&programs, interruption)?;
    let tested = step("cargo test", || test(arguments, &servers, interruption));
    let stopped = step("stopping the servers", || servers.stop());
    let (status, totals) = tested?;
    stopped?;

    println!("{totals}");
    if status.success() && totals == Totals::default() {
        say("error: no test ran");
        return Ok(ExitCode::FAILURE);
    }
    Ok(exit_code(status))
}

/// Builds the binary, which the end-to-end tests run and cargo would not build for them.
///
/// For the whole workspace the tests are built along with it: alone, it would be built with fewer
/// features of the dependencies, and all of them a second time for the tests.
fn build(arguments: &[&str], interruption: &Interruption) -> Result<ExitStatus> {
    let targets: &[&str] = if chooses_packages(arguments) {
        &["--package", "usher"]
    } else {
        &["--workspace", "--tests", "--bin", "usher"]
    };
    Group::start("cargo", cargo().arg("build").args(targets), Signal::TERM)?.wait(interruption)
}

fn test(
    arguments: &[&str],
    servers: &Servers,
    interruption: &Interruption,
) -> Result<(ExitStatus, Totals)> {
    let mut group = Group::start(
        "cargo",
        cargo().args(test_arguments(arguments)).envs(servers.environment()).stdout(Stdio::piped()),
        Signal::TERM,
    )?;
    let output = group.take_stdout().context("cargo has no output")?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(relay(output, io::stdout())));
    let status = group.wait(interruption)?;
    // A process that a test left behind would hold the output open: the group ends first.
    drop(group);
    let totals = receiver
        .recv_timeout(Duration::from_secs(5))
        .context("something that a test started has outlived it and holds its output open")??;
    Ok((status, totals))
}

/// `cargo test` for the whole workspace, unless the caller chose packages.
fn test_arguments<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec!["test", "--no-fail-fast"];
    if !chooses_packages(arguments) {
        all.push("--workspace");
    }
    all.extend(arguments);
    all
}

fn chooses_packages(arguments: &[&str]) -> bool {
    let mut for_cargo = arguments.iter().take_while(|argument| **argument != "--");
    for_cargo.any(|argument| {
        ["-p", "--package", "--workspace"].iter().any(|flag| argument.starts_with(flag))
    })
}

/// Cargo as a person would have called it: what `cargo run` set for this program is taken out
/// again, because build scripts that look at it would be run anew each time.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("CARGO_PKG_") || name_text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

/// Passes the output on, line by line as it comes, and adds up the results in it.
fn relay(from: impl Read, mut to: impl Write) -> Result<Totals> {
    let mut from = BufReader::new(from);
    let mut totals = Totals::default();
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line)? > 0 {
        totals.add(&String::from_utf8_lossy(&line));
        to.write_all(&line)?;
        to.flush()?;
        line.clear();
    }
    Ok(totals)
}

pub(crate) fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_workspace_is_tested_unless_packages_are_chosen() {
        assert_eq!(test_arguments(&[]), ["test", "--no-fail-fast", "--workspace"]);
        assert_eq!(
            test_arguments(&["-p", "bus", "--", "-p"]),
            ["test", "--no-fail-fast", "-p", "bus", "--", "-p"]
        );
        assert_eq!(
            test_arguments(&["--", "-p"]),
            ["test", "--no-fail-fast", "--workspace", "--", "-p"]
        );
    }

    #[test]
    fn the_output_is_passed_on_unchanged() {
        let output = b"\xff not UTF-8\ntest result: ok. 2 passed; 0 failed;\nno line end";
        let mut passed_on = Vec::new();
        let totals = relay(&output[..], &mut passed_on).expect("is read and written");
        assert_eq!(passed_on, output);
        assert_eq!(totals.passed, 2);
    }
}
