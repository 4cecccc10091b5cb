//! The private servers behind the tests, and `cargo xtask servers`, which keeps them running.

mod ports;
mod postgres;
mod rabbitmq;
mod redis;

use std::{
    fs::{self, File, Permissions},
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::{
    group::Group,
    interruption::Interruption,
    programs::Programs,
    progress::{say, step},
};
use ports::Ports;
use rabbitmq::RabbitMq;

/// Longer than any of them takes while the compiler has both cores.
const PATIENCE_FOR_START: Duration = Duration::from_secs(120);

/// `cargo xtask servers`: starts them, prints what the tests need to know, and stays until the
/// standard input ends or somebody interrupts.
///
/// # Errors
///
/// A server cannot be found, installed, started or removed.
pub fn run(interruption: &Interruption) -> Result<ExitCode> {
    let servers = Servers::start(&Programs::provide()?, interruption)?;
    for (name, value) in servers.environment() {
        println!("export {name}={value}");
    }
    say("running until Ctrl-C or the end of standard input");
    let at_end = interruption.clone();
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        at_end.request();
    });
    let _ = interruption.or_until(Duration::MAX, || Ok(None::<()>));
    step("stopping the servers", || servers.stop())?;
    Ok(ExitCode::SUCCESS)
}

/// PostgreSQL, RabbitMQ and Redis, started for this process alone, on free ports of the loopback
/// interface, with all that they write in one temporary folder.
///
/// Dropping it ends the servers, then removes the folder.
pub struct Servers {
    postgres: Group,
    rabbitmq: RabbitMq,
    redis: Group,
    ports: Ports,
    room: TempDir,
}

impl Servers {
    /// Starts all three at once and waits until each one answers.
    ///
    /// # Errors
    ///
    /// A server ends or does not answer in time; the message has the end of its log.
    pub fn start(programs: &Programs, interruption: &Interruption) -> Result<Self> {
        let room = tempfile::Builder::new()
            .prefix("usher-servers-")
            // PostgreSQL refuses root, and the user whom it runs as instead must get through.
            .permissions(Permissions::from_mode(0o711))
            .tempdir()?;
        let path = room.path();
        let ports = Ports::choose()?;
        let (postgres, rabbitmq, redis) = thread::scope(|scope| {
            let postgres = scope.spawn(|| {
                step(&format!("PostgreSQL on port {}", ports.postgres), || {
                    postgres::start(&programs.postgres, path, ports.postgres, interruption)
                })
            });
            let rabbitmq = scope.spawn(|| {
                step(&format!("RabbitMQ on port {}", ports.amqp), || {
                    RabbitMq::start(programs, path, &ports, interruption)
                })
            });
            let redis = scope.spawn(|| {
                step(&format!("Redis on port {}", ports.redis), || {
                    redis::start(&programs.redis, path, ports.redis, interruption)
                })
            });
            (postgres.join(), rabbitmq.join(), redis.join())
        });
        let panicked = |_| anyhow!("starting it panicked");
        Ok(Self {
            postgres: postgres.map_err(panicked).flatten().context("PostgreSQL")?,
            rabbitmq: rabbitmq.map_err(panicked).flatten().context("RabbitMQ")?,
            redis: redis.map_err(panicked).flatten().context("Redis")?,
            ports,
            room,
        })
    }

    /// What the tests read to find the servers.
    pub fn environment(&self) -> [(&'static str, String); 5] {
        let Ports { postgres, amqp, management, redis, .. } = self.ports;
        [
            (
                "USHER_TEST_POSTGRES_URL",
                format!("postgres://postgres@127.0.0.1:{postgres}/postgres"),
            ),
            ("USHER_TEST_RABBITMQ_URL", format!("amqp://guest:guest@127.0.0.1:{amqp}")),
            (
                "USHER_TEST_RABBITMQ_MANAGEMENT_URL",
                format!("http://guest:guest@127.0.0.1:{management}"),
            ),
            ("USHER_TEST_REDIS_URL", format!("redis://127.0.0.1:{redis}")),
            (
                "USHER_TEST_POSTGRES_LOG",
                self.room.path().join("postgres.log").display().to_string(),
            ),
        ]
    }

    /// Ends the servers and removes their folder, as a drop does, but tells of a failure.
    ///
    /// # Errors
    ///
    /// The folder cannot be removed.
    pub fn stop(self) -> Result<()> {
        drop((self.postgres, self.rabbitmq, self.redis));
        self.room.close().context("cannot remove the servers' folder")
    }
}

/// A server that is starting: its program, the file it writes to, and what to do to end it.
struct Server {
    name: &'static str,
    log: PathBuf,
    group: Group,
}

impl Server {
    fn start(
        name: &'static str,
        command: &mut Command,
        room: &Path,
        farewell: Signal,
    ) -> Result<Self> {
        let log = room.join(format!("{name}.log"));
        let file = File::create(&log)?;
        let group = Group::start(name, command.stdout(file.try_clone()?).stderr(file), farewell)?;
        Ok(Self { name, log, group })
    }

    /// Waits for a condition, and not longer than the server lives.
    fn ready_when(
        mut self,
        interruption: &Interruption,
        mut answers: impl FnMut() -> bool,
    ) -> Result<Group> {
        let outcome = interruption.or_until(PATIENCE_FOR_START, || {
            if let Some(status) = self.group.exit_status()? {
                bail!("{} has ended early ({status})", self.name);
            }
            Ok(answers().then_some(()))
        });
        if interruption.happened() {
            // The log would only hide why it did not start.
            outcome?;
        } else {
            outcome.with_context(|| end_of(&self.log))?;
        }
        Ok(self.group)
    }
}

/// The last lines of a log, for a message.
fn end_of(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(40)..].join("\n");
    format!("it did not start; the end of its log:\n{last}\n")
}

/// Whether what listens at a port of this machine answers a question as expected.
fn answers(port: u16, question: &[u8], expected: &[u8]) -> bool {
    let ask = || -> io::Result<bool> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(question)?;
        let mut answer = vec![0; expected.len()];
        stream.read_exact(&mut answer)?;
        Ok(answer == expected)
    };
    ask().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_ends_early_is_reported_with_its_log() {
        let room = tempfile::tempdir().expect("a folder");
        let mut command = Command::new("sh");
        command.args(["-c", "echo the port is taken >&2; exit 4"]);
        let error = Server::start("a-server", &mut command, room.path(), Signal::TERM)
            .and_then(|server| server.ready_when(&Interruption::default(), || false))
            .err()
            .map(|error| format!("{error:#}"))
            .expect("it has ended");
        assert!(error.contains("the port is taken"), "{error}");
        assert!(error.contains("ended early (exit status: 4)"), "{error}");
    }
}
