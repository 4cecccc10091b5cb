use std::sync::{Arc, Mutex, PoisonError};

use testkit::servers::Servers;
pub use xtask::servers::Kind;
use xtask::{interruption::Interruption, programs::Programs, servers};

/// Servers of a trial's own, which may be killed.
pub struct Own {
    servers: Arc<Mutex<servers::Servers>>,
    at: Servers,
}

impl Own {
    /// Starts PostgreSQL, RabbitMQ and Redis.
    pub async fn start() -> Self {
        let started = blocking(|| {
            let programs = Programs::provide().expect("the servers' programs");
            servers::Servers::start(&programs, &Interruption::default()).expect("the servers start")
        });
        let servers = started.await;
        let environment = servers.environment();
        let at = Servers::named(|name| {
            let found = environment.iter().find(|(it, _)| *it == name);
            found.map(|(_, value)| value.clone())
        });
        Self { servers: Arc::new(Mutex::new(servers)), at }
    }

    /// Where they are.
    pub fn at(&self) -> &Servers {
        &self.at
    }

    /// Ends one with SIGKILL.
    pub async fn kill(&self, kind: Kind) {
        self.with(move |servers| servers.kill(kind)).await;
    }

    /// Starts one again that was killed, and waits until it answers.
    pub async fn start_again(&self, kind: Kind) {
        self.with(move |servers| servers.start_again(kind).expect("it starts again")).await;
    }

    /// Tells the broker something, in the words of `rabbitmqctl`.
    pub async fn tell_broker(&self, words: &'static [&'static str]) {
        self.with(move |servers| servers.tell_broker(words).expect("the broker obeys")).await;
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut servers::Servers) -> T + Send + 'static,
    ) -> T {
        let servers = self.servers.clone();
        blocking(move || work(&mut servers.lock().unwrap_or_else(PoisonError::into_inner))).await
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("the servers obey")
}
