//! The database: connections, transactions, pages, the tables that make messages exact, the outbox,
//! the inbox and the attempts, and the one that lets requests be repeated.
//!
//! The differences between PostgreSQL and SQLite live in this crate alone. Every service has
//! tables of its own: a schema named after it on PostgreSQL, a file named after it on SQLite.

pub mod attempts;
mod connect;
pub mod inbox;
pub mod migration;
pub mod outbox;
mod page;
mod probe;
pub mod request;
mod transaction;

pub use connect::{Database, DatabaseUrl, Engine};
pub use page::{Page, PageRequest};
pub use probe::probe;
pub use transaction::Transaction;

pub use sea_orm::DbErr;
use sea_orm::{RuntimeErr, SqlErr};

/// Whether a write failed because a unique constraint forbids it.
pub fn is_unique_violation(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}

/// Whether the database did not answer, so that the same call may succeed later: the connection
/// broke or none was to be had, the server is short of something, shutting down or restarting, a
/// statement ran out of time, or SQLite's one writer was busy.
pub fn is_unavailable(error: &DbErr) -> bool {
    use sqlx::Error::{Database, Io, PoolClosed, PoolTimedOut, Protocol, Tls, WorkerCrashed};
    let error = match error {
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => return true,
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => {
            error
        }
        _ => return false,
    };
    match &**error {
        Io(_) | Tls(_) | Protocol(_) | PoolTimedOut | PoolClosed | WorkerCrashed => true,
        // SQLSTATE: connection, rollback (serialisation, deadlock), resources, intervention.
        // SQLite: busy and locked, with their extended codes.
        Database(error) => error.code().is_some_and(|code| {
            let sqlite = code.parse::<u32>().ok().filter(|_| code.len() != 5);
            ["08", "40", "53", "57"].iter().any(|class| code.len() == 5 && code.starts_with(class))
                || sqlite.is_some_and(|code| matches!(code & 0xff, 5 | 6))
        }),
        _ => false,
    }
}
