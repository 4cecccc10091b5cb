//! `cargo xtask`: the chores of this workspace that need more than one cargo command.

use std::{env, process::ExitCode};

use xtask::{interruption::Interruption, program, progress, servers, test};

const HELP: &str = "\
The chores of this workspace that need more than one cargo command.

Usage:
  cargo xtask test [--] [ARGS...]   Run every test, with real servers behind them.
  cargo xtask servers               Start the servers alone and keep them running.
  cargo xtask bench [ARGS...]       Measure checks and lists, with a release build.
  cargo xtask faults [ARGS...]      Kill, crash and cut, at length, and compare the ledgers.
  cargo xtask help                  Show this text.

`test` installs what is missing (with apt-get, where there is one), builds `usher`,
starts a private PostgreSQL, RabbitMQ and Redis, runs `cargo test --workspace`, stops
and removes everything that it started, and closes with `N passed, N failed`.
ARGS go to `cargo test`; with a `--package` among them only that package is tested:

  cargo xtask test -p organisation
  cargo xtask test -p organisation -- invitations::accept --nocapture

`servers` prints the variables that the tests read, as `export` lines for a shell, and
runs until Ctrl-C or the end of its standard input. In another terminal, paste the
lines and run any test again and again without waiting for a broker to start:

  cargo test -p bus

`bench` builds the measuring program for release, starts the same servers, and runs it.
It prints its report on standard output; `cargo xtask bench --help` tells what it measures.

`faults` does the same with the program that brings faults about, optimised but with debug
assertions; `cargo xtask faults --help` tells which. `test` does each of them shortly.

The variables:
  USHER_TEST_POSTGRES_URL              a superuser; each test creates its own database
  USHER_TEST_RABBITMQ_URL              the broker; each test uses a virtual host of its own
  USHER_TEST_RABBITMQ_MANAGEMENT_URL   the broker's HTTP interface, to create virtual hosts
  USHER_TEST_REDIS_URL                 a server without persistence
  USHER_TEST_POSTGRES_LOG              PostgreSQL's log, where `bench` finds the plans of queries
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let interruption = match Interruption::listen() {
        Ok(interruption) => interruption,
        Err(error) => {
            progress::say(format_args!("error: {error:#}"));
            return ExitCode::FAILURE;
        }
    };
    let outcome = match arguments.as_slice() {
        [] | ["help" | "-h" | "--help"] => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        ["test", rest @ ..] => test::run(rest, &interruption),
        ["servers"] => servers::run(&interruption),
        ["bench", rest @ ..] => program::bench(rest, &interruption),
        ["faults", rest @ ..] => program::faults(rest, &interruption),
        _ => {
            eprint!("xtask: there is no such command.\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    outcome.unwrap_or_else(|error| {
        progress::say(format_args!("error: {error:#}"));
        if interruption.happened() { ExitCode::from(130) } else { ExitCode::FAILURE }
    })
}
