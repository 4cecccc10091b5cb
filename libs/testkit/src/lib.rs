//! What tests stand on: a service on a database of its own, the private servers that
//! `cargo xtask test` has started, and a mail server that keeps what it gets.

mod bench;
mod dead_letters;
pub mod servers;
mod sink;
mod wait;

pub use bench::{Bearer, Bench, Connection, Served, race, with_token};
pub use dead_letters::DeadLetters;
pub use sink::{Mail, Reply, SmtpSink};
pub use wait::{eventually, settled};

/// Writes each test twice: on SQLite and on PostgreSQL. Each has two threads, so that calls race.
///
/// ```text
/// testkit::on_both_databases!(a_fact, another_fact);
/// async fn a_fact(bench: testkit::Bench) { … }
/// ```
#[macro_export]
macro_rules! on_both_databases {
    ($($name:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::Bench::sqlite().await).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::Bench::postgres().await).await;
            })*
        }
    };
}
