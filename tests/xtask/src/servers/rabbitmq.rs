//! A private RabbitMQ with its management plugin, and the port mapper that it needs.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use super::{Ports, Server, answers};
use crate::{group::Group, interruption::Interruption, programs::Programs};

const MANAGEMENT_QUESTION: &[u8] = b"GET /api/overview HTTP/1.1\r\n\
    Host: 127.0.0.1\r\n\
    Authorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n\
    Connection: close\r\n\r\n";

/// Starts the port mapper.
///
/// Left to itself, Erlang starts one that leaves its process group and stays for ever. One that is
/// there already is used instead.
///
/// # Errors
///
/// It ends or does not answer.
pub fn start_port_mapper(
    programs: &Programs,
    room: &Path,
    ports: &Ports,
    interruption: &Interruption,
) -> Result<Group> {
    let epmd = Server::start(
        "epmd",
        Command::new(&programs.epmd)
            .args(["-address", "127.0.0.1", "-port"])
            .arg(ports.epmd.to_string()),
        room,
        Signal::TERM,
    )?;
    // Request 110 asks for the names of all nodes; the answer begins with the mapper's port.
    epmd.ready_when(interruption, || {
        answers(ports.epmd, &[0, 1, 110], &u32::from(ports.epmd).to_be_bytes())
    })
}

/// Starts the broker, with what it kept in this room, and waits until it takes AMQP connections and
/// HTTP requests.
///
/// # Errors
///
/// It ends or does not answer.
pub fn start(
    programs: &Programs,
    room: &Path,
    ports: &Ports,
    interruption: &Interruption,
) -> Result<Group> {
    let home = home(room);
    fs::create_dir_all(&home)?;
    fs::write(home.join("enabled_plugins"), "[rabbitmq_management].\n")?;
    fs::write(
        home.join("rabbitmq.conf"),
        format!(
            "listeners.tcp.1 = 127.0.0.1:{}\n\
             management.tcp.ip = 127.0.0.1\n\
             management.tcp.port = {}\n",
            ports.amqp, ports.management,
        ),
    )?;
    let mut command = command(&programs.rabbitmq, &home, ports);
    command
        .env(
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}",
        )
        // The script then becomes the broker, instead of staying as its parent.
        .env("RUNNING_UNDER_SYSTEMD", "true");
    // A tidy shutdown takes seconds, and nothing of what the broker holds is kept.
    let broker = Server::start("rabbitmq", &mut command, room, Signal::KILL)?;
    broker.ready_when(interruption, || {
        answers(ports.amqp, b"AMQP\0\0\x09\x01", &[1])
            && answers(ports.management, MANAGEMENT_QUESTION, b"HTTP/1.1 200")
    })
}

/// Tells the running broker something, in the words of `rabbitmqctl`.
///
/// # Errors
///
/// It refuses, with its words.
pub fn control(programs: &Programs, room: &Path, ports: &Ports, words: &[&str]) -> Result<()> {
    let program = programs.rabbitmq.with_file_name("rabbitmqctl");
    let output = command(&program, &home(room), ports).args(words).output();
    let output = output.with_context(|| format!("cannot start {}", program.display()))?;
    if !output.status.success() {
        bail!("rabbitmqctl: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn home(room: &Path) -> PathBuf {
    room.join("rabbitmq")
}

fn command(program: &Path, home: &Path, ports: &Ports) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("RABBITMQ_") {
            command.env_remove(name);
        }
    }
    command
        .current_dir(home)
        .env("HOME", home)
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("ERL_EPMD_PORT", ports.epmd.to_string())
        .env("RABBITMQ_NODENAME", format!("usher-{}@localhost", std::process::id()))
        .env("RABBITMQ_DIST_PORT", ports.distribution.to_string())
        .env("RABBITMQ_MNESIA_BASE", home.join("data"))
        .env("RABBITMQ_LOG_BASE", home.join("log"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", home.join("enabled_plugins"))
        .env("RABBITMQ_CONFIG_FILE", home.join("rabbitmq.conf"))
        .env("RABBITMQ_CONFIG_FILES", home.join("conf.d"))
        .env("RABBITMQ_ADVANCED_CONFIG_FILE", home.join("advanced.config"))
        .env("RABBITMQ_CONF_ENV_FILE", home.join("rabbitmq-env.conf"));
    command
}
