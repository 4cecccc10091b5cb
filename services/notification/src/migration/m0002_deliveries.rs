use sea_orm_migration::prelude::*;

/// Creates `deliveries`. A new table: it locks nothing that is in use.
pub(super) struct Deliveries;

impl MigrationName for Deliveries {
    fn name(&self) -> &str {
        "m0002_deliveries"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Deliveries {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("deliveries")
                    .col(ColumnDef::new("id").uuid().not_null().primary_key())
                    .col(ColumnDef::new("event_id").uuid().not_null())
                    .col(ColumnDef::new("recipient").string().not_null())
                    .col(ColumnDef::new("organisation_id").uuid().not_null())
                    .col(ColumnDef::new("invitation_id").uuid().not_null())
                    .col(ColumnDef::new("template").string().not_null())
                    .col(ColumnDef::new("locale").string().not_null())
                    .col(ColumnDef::new("state").string_len(16).not_null())
                    .col(ColumnDef::new("attempts").integer().not_null())
                    .col(ColumnDef::new("last_error").text().not_null())
                    .col(ColumnDef::new("claim_id").uuid())
                    .col(ColumnDef::new("claim_expires_at").timestamp_with_time_zone())
                    .col(ColumnDef::new("message_id").string().not_null())
                    .col(ColumnDef::new("created_at").timestamp_with_time_zone().not_null())
                    .col(ColumnDef::new("updated_at").timestamp_with_time_zone().not_null())
                    .to_owned(),
            )
            .await?;
        let indices = [
            Index::create()
                .name("deliveries_event_id_recipient")
                .col("event_id")
                .col("recipient")
                .unique()
                .to_owned(),
            // One page of an organisation, and one of an invitation.
            Index::create()
                .name("deliveries_organisation_id_id")
                .col("organisation_id")
                .col("id")
                .to_owned(),
            Index::create()
                .name("deliveries_invitation_id_id")
                .col("invitation_id")
                .col("id")
                .to_owned(),
        ];
        for mut index in indices {
            manager.create_index(index.table("deliveries").to_owned()).await?;
        }
        Ok(())
    }
}
