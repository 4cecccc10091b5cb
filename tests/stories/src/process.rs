use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use testkit::eventually;

/// The `usher` binary as a process of its own, with its output in files. Killed when dropped.
pub struct Process {
    command: Command,
    child: Child,
    output: PathBuf,
}

impl Process {
    /// Starts `usher` with arguments and environment, without anything of the test's own.
    pub fn start(
        folder: &Path,
        name: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let output = folder.join(name);
        let file = |kind: &str| File::create(output.with_extension(kind)).expect("an output file");
        let mut command = Command::new(binary());
        for (variable, _) in std::env::vars().filter(|(name, _)| name.starts_with("USHER_")) {
            command.env_remove(variable);
        }
        command
            .args(arguments)
            .envs(environment.iter().copied())
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(file("out"))
            .stderr(file("err"));
        let child = spawn(&mut command);
        Self { command, child, output }
    }

    /// Starts it again as it was started, when it has ended; its output goes on in the same files.
    pub fn start_again(&mut self) {
        self.child = spawn(&mut self.command);
    }

    /// Starts it again with variables over those that it was started with, for this time only.
    pub fn start_again_with(&mut self, variables: &[(&str, &str)]) {
        let before: Vec<_> = self
            .command
            .get_envs()
            .map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned)))
            .collect();
        self.command.envs(variables.iter().copied());
        self.start_again();
        for (name, _) in variables {
            self.command.env_remove(name);
        }
        for (name, value) in before {
            match value {
                Some(value) => self.command.env(name, value),
                None => self.command.env_remove(name),
            };
        }
    }

    /// Starts another beside it, as it was started but for some variables.
    pub fn another(&self, folder: &Path, name: &str, variables: &[(&str, &str)]) -> Self {
        let arguments: Vec<_> = self.command.get_args().filter_map(|it| it.to_str()).collect();
        let environment = self.command.get_envs();
        let environment =
            environment.filter_map(|(name, value)| Some((name.to_str()?, value?.to_str()?)));
        let mut environment: Vec<_> = environment.collect();
        environment.extend(variables);
        Self::start(folder, name, &arguments, &environment)
    }

    /// A variable that it is started with.
    pub fn variable(&self, name: &str) -> Option<String> {
        let (_, value) = self.command.get_envs().find(|(it, _)| *it == name)?;
        Some(value?.to_str()?.to_owned())
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it printed so far.
    pub fn stdout(&self) -> String {
        std::fs::read_to_string(self.output.with_extension("out")).expect("its output")
    }

    /// What it logged so far.
    pub fn stderr(&self) -> String {
        std::fs::read_to_string(self.output.with_extension("err")).expect("its log")
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub fn kill(&mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let sent = Command::new("kill").args(["-TERM", &self.id().to_string()]).status();
        assert!(sent.expect("kill").success());
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("wait")
    }

    /// Fails with what it logged if it has ended.
    pub fn expect_running(&mut self) {
        assert!(self.ended().is_none(), "it ended: {}{}", self.stdout(), self.stderr());
    }

    /// Waits until it has ended by itself.
    pub async fn exit(&mut self) -> ExitStatus {
        let child = std::sync::Mutex::new(&mut self.child);
        eventually("the process ends", async || {
            child.lock().expect("the child").try_wait().expect("wait")
        })
        .await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(command: &mut Command) -> Child {
    command.spawn().expect("the usher binary: run `cargo xtask test`, which builds it")
}

/// The binary beside this test's.
fn binary() -> PathBuf {
    let mut path = std::env::current_exe().expect("this test's path");
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    path.join("usher")
}
