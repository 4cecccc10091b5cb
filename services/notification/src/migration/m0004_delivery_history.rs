use sea_orm_migration::prelude::*;

/// Adds to `deliveries` why a delivery is in its state, what asked for it and what was counted, and
/// creates `delivery_attempts`.
///
/// It locks `deliveries` for an instant for each column on either engine: columns that may be empty or
/// have a constant default change the catalogue alone, whatever the number of rows. It only expands:
/// the version before goes on; what it claims has no row among the attempts, and what it sends cannot
/// be sent once more.
pub(super) struct DeliveryHistory;

impl MigrationName for DeliveryHistory {
    fn name(&self) -> &str {
        "m0004_delivery_history"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for DeliveryHistory {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut columns = vec![
            ColumnDef::new("reason").string_len(32).not_null().default("").to_owned(),
            ColumnDef::new("generation").integer().not_null().default(1).to_owned(),
            ColumnDef::new("event_at").timestamp_with_time_zone().null().to_owned(),
            ColumnDef::new("cause_key").string().not_null().default("").to_owned(),
            ColumnDef::new("cause_payload").binary().null().to_owned(),
        ];
        for counter in ["issue", "delays", "losses", "version"] {
            columns.push(ColumnDef::new(counter).integer().not_null().default(0).to_owned());
        }
        // One statement a column, which is what SQLite can do.
        for column in columns {
            let table = Table::alter().table("deliveries").add_column(column).to_owned();
            manager.alter_table(table).await?;
        }
        manager
            .create_table(
                Table::create()
                    .table("delivery_attempts")
                    .col(ColumnDef::new("delivery_id").uuid().not_null())
                    .col(ColumnDef::new("number").integer().not_null())
                    .col(ColumnDef::new("generation").integer().not_null())
                    .col(ColumnDef::new("begun_at").timestamp_with_time_zone().not_null())
                    .col(ColumnDef::new("ended_at").timestamp_with_time_zone())
                    .col(ColumnDef::new("outcome").string_len(16))
                    .col(ColumnDef::new("reason").string_len(32).not_null())
                    .col(ColumnDef::new("reply_code").integer().not_null())
                    .col(ColumnDef::new("enhanced_status").string_len(16).not_null())
                    .col(ColumnDef::new("words").text().not_null())
                    .primary_key(Index::create().col("delivery_id").col("number"))
                    .to_owned(),
            )
            .await
    }
}
