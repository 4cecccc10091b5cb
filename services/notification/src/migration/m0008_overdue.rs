use sea_orm_migration::prelude::*;

/// Adds to `deliveries` when one that waits is to be looked after. It locks the table for a moment to
/// add the column, and against writing while the index is built, which reads the table once and finds
/// few. What an older version writes has no such time until it is looked at.
pub(super) struct Overdue;

impl MigrationName for Overdue {
    fn name(&self) -> &str {
        "m0008_overdue"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Overdue {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = ColumnDef::new("overdue_at").timestamp_with_time_zone().null().to_owned();
        let table = Table::alter().table("deliveries").add_column(column).to_owned();
        manager.alter_table(table).await?;
        let waiting = Index::create()
            .name("deliveries_overdue_at")
            .table("deliveries")
            .col("overdue_at")
            .and_where(Expr::col("state").is_in(["queued", "sending"]))
            .to_owned();
        manager.create_index(waiting).await
    }
}
