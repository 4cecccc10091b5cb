use std::{path::PathBuf, sync::Arc, time::Duration};

use kernel::Malformed;
use sea_orm::{
    ConnectOptions, ConnectionTrait as _, DatabaseConnection, DbErr, SqliteTransactionMode,
    TransactionOptions, TransactionTrait as _,
};
use sqlx::{
    postgres::PgConnectOptions,
    sqlite::{SqliteJournalMode, SqliteSynchronous},
};
use tokio::sync::Notify;

use crate::Transaction;

/// Where a service's tables are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// `postgres://user:password@host:port/database`; each service takes the schema of its name.
    Postgres(String),
    /// `sqlite:DIRECTORY`; each service takes the file of its name in it. Embedded.
    Sqlite(PathBuf),
}

impl DatabaseUrl {
    /// Parses a setting.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        match text.split_once(':') {
            Some(("postgres" | "postgresql", _)) if text.parse::<PgConnectOptions>().is_ok() => {
                Ok(Self::Postgres(text.to_owned()))
            }
            Some(("sqlite", directory)) if !directory.is_empty() => {
                Ok(Self::Sqlite(PathBuf::from(directory)))
            }
            _ => Err(Malformed("postgres://USER:PASSWORD@HOST/DATABASE or sqlite:DIRECTORY")),
        }
    }
}

/// Which database this is; only this crate asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A PostgreSQL server.
    Postgres,
    /// A file, in this process.
    Sqlite,
}

/// One service's tables. Clones share the pool.
#[derive(Clone)]
pub struct Database {
    connection: DatabaseConnection,
    engine: Engine,
    schema: String,
    committed: Arc<Notify>,
}

impl Database {
    /// Opens a pool of at most `pool` connections. PostgreSQL is connected on first use and anew after
    /// a loss; statements are bounded at 10 s and waits for a connection at 5 s.
    pub async fn connect(url: &DatabaseUrl, service: &str, pool: u32) -> Result<Self, DbErr> {
        let (engine, options) = match url {
            DatabaseUrl::Postgres(url) => (Engine::Postgres, postgres(url, service)),
            DatabaseUrl::Sqlite(directory) => {
                std::fs::create_dir_all(directory)
                    .map_err(|error| DbErr::Custom(format!("{}: {error}", directory.display())))?;
                (Engine::Sqlite, sqlite(directory.join(format!("{service}.db"))))
            }
        };
        let mut options = options;
        options
            .max_connections(pool)
            .min_connections(1)
            .acquire_timeout(Duration::from_secs(5))
            .test_before_acquire(false)
            .sqlx_logging(false)
            .connect_lazy(engine == Engine::Postgres);
        let connection = sea_orm::Database::connect(options).await?;
        Ok(Self { connection, engine, schema: service.to_owned(), committed: Arc::default() })
    }

    /// The connection for reads outside a transaction.
    pub fn read(&self) -> &DatabaseConnection {
        &self.connection
    }

    /// Begins a transaction for writing. SQLite takes its one write lock here, because it drops row
    /// locks silently; PostgreSQL runs at READ COMMITTED, so writers compare and set.
    pub async fn begin(&self) -> Result<Transaction, DbErr> {
        // PostgreSQL has its isolation from the connection: no statement of its own to set it.
        let immediate = (self.engine == Engine::Sqlite).then_some(SqliteTransactionMode::Immediate);
        let options =
            TransactionOptions { sqlite_transaction_mode: immediate, ..Default::default() };
        // In a task that goes on when the caller goes away: of a BEGIN that nobody waits for any more
        // sqlx takes back nothing (transact-rs/sqlx#4393, in 0.9.0), and who got the connection next
        // would write into a transaction that nobody commits. Here it is dropped, and rolled back.
        let connection = self.connection.clone();
        let beginning = tokio::spawn(async move { connection.begin_with_options(options).await });
        let inner = beginning.await.map_err(|ended| DbErr::Custom(ended.to_string()))??;
        Ok(Transaction::new(inner, self.committed.clone()))
    }

    /// Answers when the database does.
    pub async fn ping(&self) -> Result<(), DbErr> {
        self.connection.execute_unprepared("SELECT 1").await.map(|_| ())
    }

    /// Closes the pool.
    pub async fn close(&self) {
        let _ = self.connection.clone().close().await;
    }

    /// Fires when a transaction that published events has committed.
    pub fn committed(&self) -> &Notify {
        &self.committed
    }

    pub(crate) fn engine(&self) -> Engine {
        self.engine
    }

    pub(crate) fn schema(&self) -> &str {
        &self.schema
    }
}

fn postgres(url: &str, service: &str) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    let (schema, name) = (service.to_owned(), format!("usher-{service}"));
    options.map_sqlx_postgres_opts(move |options| {
        options.application_name(&name).options([
            ("search_path", schema.as_str()),
            ("default_transaction_isolation", "read committed"),
            ("statement_timeout", "10s"),
            ("idle_in_transaction_session_timeout", "30s"),
        ])
    });
    options
}

fn sqlite(file: PathBuf) -> ConnectOptions {
    let mut options = ConnectOptions::new("sqlite:");
    options.map_sqlx_sqlite_opts(move |options| {
        options
            .filename(&file)
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            // An answer that was given survives a power cut.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5))
    });
    options
}
