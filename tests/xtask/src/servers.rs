//! The private servers behind the tests, and `cargo xtask servers`, which keeps them running.

mod ports;
mod postgres;
mod rabbitmq;
mod redis;

use std::{
    collections::BTreeMap,
    fmt,
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
    running: BTreeMap<Kind, Group>,
    /// Behind the broker, which it outlives.
    port_mapper: Group,
    programs: Programs,
    ports: Ports,
    interruption: Interruption,
    room: TempDir,
}

/// One of the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The database.
    Postgres,
    /// The broker.
    RabbitMq,
    /// The cache.
    Redis,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Postgres, Self::RabbitMq, Self::Redis];

    fn start(
        self,
        programs: &Programs,
        room: &Path,
        ports: &Ports,
        interruption: &Interruption,
    ) -> Result<Group> {
        match self {
            Self::Postgres => {
                postgres::start(&programs.postgres, room, ports.postgres, interruption)
            }
            Self::RabbitMq => rabbitmq::start(programs, room, ports, interruption),
            Self::Redis => redis::start(&programs.redis, room, ports.redis, interruption),
        }
    }

    fn port(self, ports: &Ports) -> u16 {
        match self {
            Self::Postgres => ports.postgres,
            Self::RabbitMq => ports.amqp,
            Self::Redis => ports.redis,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres => "PostgreSQL",
            Self::RabbitMq => "RabbitMQ",
            Self::Redis => "Redis",
        })
    }
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
        let port_mapper = rabbitmq::start_port_mapper(programs, path, &ports, interruption)?;
        let start = |kind: Kind| {
            step(&format!("{kind} on port {}", kind.port(&ports)), || {
                if kind == Kind::Postgres {
                    postgres::create(&programs.postgres, path, interruption)?;
                }
                kind.start(programs, path, &ports, interruption)
            })
            .with_context(|| kind.to_string())
        };
        let running = thread::scope(|scope| {
            let starting = Kind::ALL.map(|kind| (kind, scope.spawn(move || start(kind))));
            let started = starting.into_iter().map(|(kind, it)| {
                let group = it.join().map_err(|_| anyhow!("starting {kind} panicked")).flatten();
                Ok((kind, group?))
            });
            // All are waited for before the first failure is told of.
            started.collect::<Vec<Result<_>>>().into_iter().collect::<Result<_>>()
        })?;
        Ok(Self {
            running,
            port_mapper,
            programs: programs.clone(),
            ports,
            interruption: interruption.clone(),
            room,
        })
    }

    /// Ends one with SIGKILL.
    pub fn kill(&mut self, kind: Kind) {
        if let Some(group) = self.running.remove(&kind) {
            group.kill();
        }
    }

    /// Starts one again that was killed, with what it had kept.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn start_again(&mut self, kind: Kind) -> Result<()> {
        let mut last = None;
        let started = self.interruption.or_until(PATIENCE_FOR_START, || {
            // Children of a killed PostgreSQL hold its memory until they notice.
            let room = self.room.path();
            match kind.start(&self.programs, room, &self.ports, &self.interruption) {
                Ok(group) => Ok(Some(group)),
                Err(error) => {
                    last = Some(error);
                    Ok(None)
                }
            }
        });
        let group = started.map_err(|error| last.unwrap_or(error)).context(kind)?;
        self.running.insert(kind, group);
        Ok(())
    }

    /// Tells the broker something, in the words of `rabbitmqctl`.
    ///
    /// # Errors
    ///
    /// It refuses.
    pub fn tell_broker(&self, words: &[&str]) -> Result<()> {
        rabbitmq::control(&self.programs, self.room.path(), &self.ports, words)
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
        drop((self.running, self.port_mapper));
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
