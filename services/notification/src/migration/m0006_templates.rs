use sea_orm_migration::prelude::*;

/// Creates `template_versions` and `senders`. New tables: it locks nothing that is in use.
pub(super) struct Templates;

impl MigrationName for Templates {
    fn name(&self) -> &str {
        "m0006_templates"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Templates {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("template_versions")
                    .col(ColumnDef::new("id").uuid().not_null().primary_key())
                    .col(ColumnDef::new("organisation_id").uuid().not_null())
                    .col(ColumnDef::new("application_id").uuid().not_null())
                    .col(ColumnDef::new("template").string_len(64).not_null())
                    .col(ColumnDef::new("language").string_len(35).not_null())
                    .col(ColumnDef::new("version").integer().not_null())
                    .col(ColumnDef::new("source").text().not_null())
                    .col(ColumnDef::new("is_deletion").boolean().not_null())
                    .col(ColumnDef::new("is_current").boolean().not_null())
                    .col(ColumnDef::new("created_by").uuid().not_null())
                    .col(ColumnDef::new("created_at").timestamp_with_time_zone().not_null())
                    .to_owned(),
            )
            .await?;
        // The versions of an override; of two that save at once one comes second. It also finds what
        // applies to a mail: at most as many rows as are kept for each of the few places.
        let versions = Index::create()
            .name("template_versions_place_version")
            .table("template_versions")
            .col("organisation_id")
            .col("template")
            .col("application_id")
            .col("language")
            .col("version")
            .unique()
            .to_owned();
        manager.create_index(versions).await?;
        manager
            .create_table(
                Table::create()
                    .table("senders")
                    .col(ColumnDef::new("organisation_id").uuid().not_null().primary_key())
                    .col(ColumnDef::new("display_name").string().not_null())
                    .col(ColumnDef::new("reply_to").string().not_null())
                    .col(ColumnDef::new("from_address").string().not_null())
                    .col(ColumnDef::new("version").integer().not_null())
                    .col(ColumnDef::new("updated_by").uuid().not_null())
                    .col(ColumnDef::new("updated_at").timestamp_with_time_zone().not_null())
                    .to_owned(),
            )
            .await
    }
}
