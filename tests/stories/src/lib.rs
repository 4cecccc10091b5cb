//! What the stories are told with: a platform, embedded or on real servers with every service a
//! process of its own, and the ways in which people and programs reach it.

mod client;
mod platform;
mod process;

pub use client::{Answer, Client, Submitted};
pub use platform::{OWNER, PASSWORD, Platform, free_address, from_noon, noon};
pub use process::Process;

/// Tells each story twice: embedded on SQLite, and all-in-one on PostgreSQL.
#[macro_export]
macro_rules! on_both_databases {
    ($($name:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::Platform::on_sqlite().await).await;
            })*
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::Platform::on_postgres().await).await;
            })*
        }
    };
}
