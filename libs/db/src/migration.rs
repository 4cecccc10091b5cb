//! Migrations, and those of this crate's tables: a service lists the ones that it wants among its
//! own. Their names have no numbers but the first's, because each service has them at another place.

use sea_orm::{
    ConnectionTrait as _, DbBackend, DbErr, EntityTrait as _, ExprTrait as _, Statement,
    TransactionTrait as _,
};
use sea_orm_migration::{MigratorTrait, prelude::*, seaql_migrations};

use crate::{Database, Engine};

/// Applies what is pending, in one transaction and under a lock of the database: many processes
/// may call this at once. Answers how many were applied.
pub async fn migrate<M: MigratorTrait>(database: &Database) -> Result<usize, DbErr> {
    if database.engine() == Engine::Postgres {
        let schema = database.schema();
        // Two that create a schema at once may collide in the catalogue: the lock comes first.
        let tx = database.read().begin().await?;
        lock(&tx, schema).await?;
        tx.execute_unprepared(&format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\"")).await?;
        tx.commit().await?;
    }
    let tx = database.begin().await?;
    if database.engine() == Engine::Postgres {
        lock(&tx, database.schema()).await?;
    }
    let pending = M::get_pending_migrations(&*tx).await?.len();
    M::up(&*tx, None).await?;
    tx.commit().await?;
    Ok(pending)
}

/// How many of this version's migrations are still to be applied; changes nothing. Those of a later
/// version may be there already: migrations expand first, so that this version still works.
pub async fn pending<M: MigratorTrait>(database: &Database) -> Result<usize, DbErr> {
    let applied = match seaql_migrations::Entity::find().all(database.read()).await {
        Ok(applied) => applied,
        Err(error) if crate::is_unavailable(&error) => return Err(error),
        // There is no such table before the first migration.
        Err(_) => Vec::new(),
    };
    let is_applied = |name: &str| applied.iter().any(|row| row.version == name);
    Ok(M::migrations().iter().filter(|migration| !is_applied(migration.name())).count())
}

async fn lock(tx: &sea_orm::DatabaseTransaction, schema: &str) -> Result<(), DbErr> {
    // An index of a large table takes longer than any request may, and so may the wait for another
    // that migrates.
    tx.execute_unprepared("SET LOCAL statement_timeout = 0").await?;
    let statement = Statement::from_sql_and_values(
        tx.get_database_backend(),
        "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))",
        [format!("usher-migrate-{schema}").into()],
    );
    tx.execute_raw(statement).await.map(|_| ())
}

/// Creates `outbox` and `inbox`. New tables: it locks nothing that is in use.
pub struct Messaging;

impl MigrationName for Messaging {
    fn name(&self) -> &str {
        "m0001_messaging"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Messaging {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        use crate::{inbox::Column as In, outbox::Column as Out};
        manager
            .create_table(
                Table::create()
                    .table("outbox")
                    .col(ColumnDef::new(Out::Id).uuid().not_null().primary_key())
                    .col(ColumnDef::new(Out::RoutingKey).string().not_null())
                    .col(ColumnDef::new(Out::Subject).uuid().not_null())
                    .col(ColumnDef::new(Out::Payload).binary().not_null())
                    .col(ColumnDef::new(Out::Traceparent).string())
                    .col(ColumnDef::new(Out::CreatedAt).timestamp_with_time_zone().not_null())
                    .col(ColumnDef::new(Out::AvailableAt).timestamp_with_time_zone().not_null())
                    .col(ColumnDef::new(Out::Attempts).integer().not_null())
                    .col(ColumnDef::new(Out::Dead).text())
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("outbox_due")
                    .table("outbox")
                    .col(Out::AvailableAt)
                    .col(Out::Id)
                    .and_where(Expr::col(Out::Dead).is_null())
                    .to_owned(),
            )
            .await?;
        // Since when the oldest waits.
        manager
            .create_index(
                Index::create()
                    .name("outbox_oldest")
                    .table("outbox")
                    .col(Out::CreatedAt)
                    .and_where(Expr::col(Out::Dead).is_null())
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("inbox")
                    .col(ColumnDef::new(In::Consumer).string().not_null())
                    .col(ColumnDef::new(In::EventId).uuid().not_null())
                    .col(ColumnDef::new(In::HandledAt).timestamp_with_time_zone().not_null())
                    .primary_key(Index::create().col(In::Consumer).col(In::EventId))
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("inbox_handled_at")
                    .table("inbox")
                    .col(In::HandledAt)
                    .to_owned(),
            )
            .await
    }
}

/// Adds `must_arrive` to `outbox`, true for what is there and for what an older version writes. It
/// locks the table for a moment and rewrites no row, but it first waits for the transactions that have
/// written to it, and whoever publishes waits behind it until the migration is committed.
pub struct Announcements;

impl MigrationName for Announcements {
    fn name(&self) -> &str {
        "announcements"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Announcements {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        use crate::outbox::Column;
        let must_arrive =
            ColumnDef::new(Column::MustArrive).boolean().not_null().default(true).take();
        manager.alter_table(Table::alter().table("outbox").add_column(must_arrive).to_owned()).await
    }
}

/// Adds to `outbox` what keeps the order of a subject's events and tells of refusals. On PostgreSQL
/// numbering the rows rewrites the table, and whoever publishes waits for it: it holds what is on its
/// way, which is little. An older version's relay and writers go on as they did.
///
/// Finished rows are removed at once, so the table is small and its rows short-lived: PostgreSQL is
/// told to sweep it by number of dead rows instead of by share, without pauses.
pub struct Order;

impl MigrationName for Order {
    fn name(&self) -> &str {
        "order"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Order {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        use crate::outbox::Column;
        let last_error = ColumnDef::new(Column::LastError).text().not_null().default("").take();
        for column in [
            ColumnDef::new(Column::Queue).text().take(),
            ColumnDef::new(Column::Source).text().take(),
            last_error,
        ] {
            let table = Table::alter().table("outbox").add_column(column).to_owned();
            manager.alter_table(table).await?;
        }
        let connection = manager.get_connection();
        let mut ahead = Index::create();
        ahead.name("outbox_ahead").table("outbox").col(Column::Subject);
        if connection.get_database_backend() == DbBackend::Postgres {
            connection
                .execute_unprepared(
                    "ALTER TABLE outbox ADD COLUMN position BIGINT GENERATED BY DEFAULT AS IDENTITY;
                     ALTER TABLE outbox SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0,
                         autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0)",
                )
                .await?;
            ahead.col(Alias::new("position"));
        }
        let waits = Condition::all()
            .add(Expr::col(Column::Dead).is_null())
            .add(Expr::col(Column::Attempts).eq(0));
        manager.create_index(ahead.cond_where(waits).to_owned()).await
    }
}

/// Creates `attempts`, for a service with consumers. A new table: it locks nothing that is in use.
pub struct Attempts;

impl MigrationName for Attempts {
    fn name(&self) -> &str {
        "attempts"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Attempts {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        use crate::attempts::Column;
        manager
            .create_table(
                Table::create()
                    .table("attempts")
                    .col(ColumnDef::new(Column::Consumer).string().not_null())
                    .col(ColumnDef::new(Column::EventId).uuid().not_null())
                    .col(ColumnDef::new(Column::Attempts).integer().not_null())
                    .col(ColumnDef::new(Column::IsGivenUp).boolean().not_null())
                    .col(ColumnDef::new(Column::LastError).text().not_null())
                    .col(ColumnDef::new(Column::CreatedAt).timestamp_with_time_zone().not_null())
                    .col(ColumnDef::new(Column::UpdatedAt).timestamp_with_time_zone().not_null())
                    .primary_key(Index::create().col(Column::Consumer).col(Column::EventId))
                    .to_owned(),
            )
            .await?;
        // For forgetting the oldest.
        manager
            .create_index(
                Index::create()
                    .name("attempts_updated_at")
                    .table("attempts")
                    .col(Column::UpdatedAt)
                    .to_owned(),
            )
            .await
    }
}

/// Creates `requests`. A new table: it locks nothing that is in use.
pub struct Requests;

impl MigrationName for Requests {
    fn name(&self) -> &str {
        "requests"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Requests {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        use crate::request::Column;
        manager
            .create_table(
                Table::create()
                    .table("requests")
                    .col(ColumnDef::new(Column::Caller).uuid().not_null())
                    .col(ColumnDef::new(Column::RequestId).uuid().not_null())
                    .col(ColumnDef::new(Column::Method).text().not_null())
                    .col(ColumnDef::new(Column::Fingerprint).binary_len(32).not_null())
                    .col(ColumnDef::new(Column::Answer).binary())
                    .col(ColumnDef::new(Column::CreatedAt).timestamp_with_time_zone().not_null())
                    .primary_key(Index::create().col(Column::Caller).col(Column::RequestId))
                    .to_owned(),
            )
            .await?;
        // For forgetting the oldest.
        manager
            .create_index(
                Index::create()
                    .name("requests_created_at")
                    .table("requests")
                    .col(Column::CreatedAt)
                    .to_owned(),
            )
            .await
    }
}
