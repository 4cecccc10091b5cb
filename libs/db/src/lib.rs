//! The database: connections, transactions, pages, and the two tables that make messages exact,
//! the outbox and the inbox.
//!
//! The differences between PostgreSQL and SQLite live in this crate alone. Every service has
//! tables of its own: a schema named after it on PostgreSQL, a file named after it on SQLite.

mod connect;
pub mod inbox;
pub mod migration;
pub mod outbox;
mod page;
mod transaction;

pub use connect::{Database, DatabaseUrl, Engine};
pub use page::{Page, PageRequest};
pub use transaction::Transaction;

pub use sea_orm::DbErr;
use sea_orm::SqlErr;

/// Whether a write failed because a unique constraint forbids it.
pub fn is_unique_violation(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}

/// Whether the database did not answer, so that the same call may succeed later.
pub fn is_unavailable(error: &DbErr) -> bool {
    match error {
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => true,
        // Busy and locked on SQLite; shutdown, serialisation and deadlock classes on PostgreSQL.
        _ => {
            let text = error.to_string();
            ["database is locked", "connection", "the database system is", "deadlock", "pool timed"]
                .iter()
                .any(|sign| text.contains(sign))
        }
    }
}
