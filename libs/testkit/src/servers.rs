//! The private servers of this test run. Each test takes a part of its own: a database, a virtual
//! host, a numbered Redis database.

use std::sync::atomic::{AtomicU32, Ordering};

use kernel::Clock;
use sea_orm::ConnectionTrait as _;

/// Where PostgreSQL, RabbitMQ and Redis are.
#[derive(Clone, Debug)]
pub struct Servers {
    postgres: String,
    rabbitmq: String,
    management: String,
    redis: String,
}

impl Servers {
    /// Those that `cargo xtask` has started for all tests.
    pub fn of_this_run() -> Self {
        Self::named(|name| std::env::var(name).ok())
    }

    /// Those that a test has started for itself, by the names of the variables.
    pub fn named(value: impl Fn(&str) -> Option<String>) -> Self {
        let value = |name: &str| {
            value(name).unwrap_or_else(|| {
                panic!(
                    "{name} is not set: run `cargo xtask test`, or `cargo xtask servers` beside \
                     this"
                )
            })
        };
        Self {
            postgres: value("USHER_TEST_POSTGRES_URL"),
            rabbitmq: value("USHER_TEST_RABBITMQ_URL"),
            management: value("USHER_TEST_RABBITMQ_MANAGEMENT_URL"),
            redis: value("USHER_TEST_REDIS_URL"),
        }
    }

    /// The URL of a new PostgreSQL database.
    pub async fn postgres(&self) -> String {
        let name = unique();
        let url = db::DatabaseUrl::parse(&self.postgres).expect("PostgreSQL's URL");
        let database =
            db::Database::connect(&url, "testkit", 1).await.expect("connect to PostgreSQL");
        // Longer than a statement of ours may take, where the disk is slow.
        for statement in ["SET statement_timeout = 0", &format!("CREATE DATABASE {name}")] {
            database.read().execute_unprepared(statement).await.expect("create a database");
        }
        database.close().await;
        let (server, _) = self.postgres.rsplit_once('/').expect("a database in PostgreSQL's URL");
        format!("{server}/{name}")
    }

    /// The URL of a new RabbitMQ virtual host.
    pub async fn rabbitmq(&self) -> String {
        let (name, management) = (unique(), &self.management);
        let created =
            reqwest::Client::new().put(format!("{management}/api/vhosts/{name}")).send().await;
        let status = created.expect("reach RabbitMQ's management").status();
        assert!(status.is_success(), "creating a virtual host answered {status}");
        format!("{}/{name}", self.rabbitmq.trim_end_matches('/'))
    }

    /// How many messages the queues of a virtual host hold, being handled or waiting, as the broker's
    /// management saw it within the last five seconds; `None` if it does not tell.
    pub async fn messages_in(&self, rabbitmq_url: &str) -> Option<usize> {
        let (_, vhost) = rabbitmq_url.rsplit_once('/').expect("a virtual host in the URL");
        let answer = reqwest::get(format!("{}/api/vhosts/{vhost}", self.management)).await;
        let answer = answer.ok()?.error_for_status().ok()?;
        let answer: serde_json::Value = serde_json::from_str(&answer.text().await.ok()?).ok()?;
        // Nothing is told before the broker has looked.
        usize::try_from(answer["messages"].as_u64()?).ok()
    }

    /// Whether an exchange that has a name leads to a queue of a virtual host.
    pub async fn is_bound(&self, rabbitmq_url: &str, queue: &str) -> bool {
        let (_, vhost) = rabbitmq_url.rsplit_once('/').expect("a virtual host in the URL");
        let url = format!("{}/api/queues/{vhost}/{queue}/bindings", self.management);
        let answer = async { reqwest::get(url).await?.error_for_status()?.text().await };
        let Ok(answer) = answer.await else { return false };
        let bindings: Vec<serde_json::Value> = serde_json::from_str(&answer).unwrap_or_default();
        bindings.iter().any(|binding| binding["source"].as_str().is_some_and(|it| !it.is_empty()))
    }

    /// The URL of a Redis database that this test has for itself.
    pub fn redis(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // Test binaries run one after the other, but leave their keys behind: each begins elsewhere.
        let number = std::process::id().wrapping_mul(64) + NEXT.fetch_add(1, Ordering::Relaxed);
        format!("{}/{}", self.redis.trim_end_matches('/'), number % 1_024)
    }
}

/// A name that no other test of this run has.
fn unique() -> String {
    format!("t{}", Clock::System.new_id().simple())
}

/// The URL of a new PostgreSQL database on the servers of this run.
pub async fn postgres() -> String {
    Servers::of_this_run().postgres().await
}

/// The URL of a new RabbitMQ virtual host on the servers of this run.
pub async fn rabbitmq() -> String {
    Servers::of_this_run().rabbitmq().await
}

/// The URL of a Redis database on the servers of this run.
pub fn redis() -> String {
    Servers::of_this_run().redis()
}
