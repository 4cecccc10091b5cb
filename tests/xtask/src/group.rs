//! A program in a process group of its own, which never outlives its owner.

use std::{
    os::unix::process::CommandExt,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::{
    io::Errno,
    process::{Pid, Signal, kill_process_group, test_kill_process_group},
};

use crate::{interruption::Interruption, progress};

const PATIENCE_AFTER_FAREWELL: Duration = Duration::from_secs(10);
const PATIENCE_AFTER_KILL: Duration = Duration::from_secs(5);

/// A running program and whatever it started, in a process group of their own: a Ctrl-C at the
/// terminal reaches this process alone, which then ends the group in its own order.
///
/// Dropping it sends the farewell signal to the group, and SIGKILL to what is left of it later.
pub struct Group {
    name: &'static str,
    child: Child,
    farewell: Signal,
}

impl Group {
    /// Starts `command` without standard input.
    ///
    /// # Errors
    ///
    /// The program cannot be started.
    pub fn start(name: &'static str, command: &mut Command, farewell: Signal) -> Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name, child, farewell })
    }

    /// Waits for the program to end. What it started may still be running until the drop.
    ///
    /// # Errors
    ///
    /// An interruption.
    pub fn wait(&mut self, interruption: &Interruption) -> Result<ExitStatus> {
        interruption.or_until(Duration::MAX, || self.exit_status())
    }

    /// How the program ended, if it did.
    ///
    /// # Errors
    ///
    /// The operating system does not tell.
    pub fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("cannot wait for {}", self.name))
    }

    /// Ends the group as a crash would.
    pub fn kill(mut self) {
        self.farewell = Signal::KILL;
    }

    /// The program's standard output, if it was piped and not yet taken.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    fn is_gone_within(&mut self, patience: Duration) -> bool {
        let group = Pid::from_child(&self.child);
        // What is being stopped is waited for even after an interruption: hence one of its own.
        Interruption::default()
            .or_until(patience, || {
                self.exit_status()?;
                Ok((test_kill_process_group(group) == Err(Errno::SRCH)).then_some(()))
            })
            .is_ok()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let group = Pid::from_child(&self.child);
        for (signal, patience) in
            [(self.farewell, PATIENCE_AFTER_FAREWELL), (Signal::KILL, PATIENCE_AFTER_KILL)]
        {
            // The signal fails where the group is gone already, which is what was wanted.
            let _ = kill_process_group(group, signal);
            if self.is_gone_within(patience) {
                return;
            }
        }
        progress::say(format_args!(
            "warning: {} (process group {group}) is still there after SIGKILL",
            self.name,
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_started_ends_with_it() {
        let mut group = Group::start(
            "a shell",
            Command::new("sh").args(["-c", "sleep 600 & sleep 600"]),
            Signal::TERM,
        )
        .expect("a shell starts");
        assert!(group.exit_status().expect("is told").is_none());
        let id = Pid::from_child(&group.child);
        drop(group);
        assert_eq!(test_kill_process_group(id), Err(Errno::SRCH));
    }

    #[test]
    fn what_a_program_left_behind_ends_at_the_drop() {
        let mut group = Group::start(
            "a shell",
            Command::new("sh").args(["-c", "sleep 600 & exit 3"]),
            Signal::TERM,
        )
        .expect("a shell starts");
        let status = group.wait(&Interruption::default()).expect("ends");
        assert_eq!(status.code(), Some(3));
        let id = Pid::from_child(&group.child);
        assert_eq!(test_kill_process_group(id), Ok(()));
        drop(group);
        assert_eq!(test_kill_process_group(id), Err(Errno::SRCH));
    }
}
