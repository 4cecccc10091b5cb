use sea_orm_migration::prelude::*;

/// Creates `suppressions`. A new table: it locks nothing that is in use.
pub(super) struct Suppressions;

impl MigrationName for Suppressions {
    fn name(&self) -> &str {
        "m0005_suppressions"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Suppressions {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("suppressions")
                    .col(ColumnDef::new("email").string().not_null().primary_key())
                    .col(ColumnDef::new("id").uuid().not_null())
                    .col(ColumnDef::new("reason").string_len(16).not_null())
                    .col(ColumnDef::new("note").text().not_null())
                    .col(ColumnDef::new("delivery_id").uuid())
                    .col(ColumnDef::new("created_at").timestamp_with_time_zone().not_null())
                    .to_owned(),
            )
            .await?;
        // One page, in the order of their making.
        let pages = Index::create()
            .name("suppressions_id")
            .table("suppressions")
            .col("id")
            .unique()
            .to_owned();
        manager.create_index(pages).await
    }
}
