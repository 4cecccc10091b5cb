use sea_orm_migration::prelude::*;

use crate::entity::dead_letter::Column;

/// Creates `dead_letters`. A new table: it locks nothing that is in use.
pub(super) struct DeadLetters;

impl MigrationName for DeadLetters {
    fn name(&self) -> &str {
        "m0007_dead_letters"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for DeadLetters {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let moment = |column| ColumnDef::new(column).timestamp_with_time_zone().take();
        let text = |column| ColumnDef::new(column).text().not_null().take();
        let table = Table::create()
            .table("dead_letters")
            .col(ColumnDef::new(Column::Id).uuid().not_null().primary_key())
            .col(ColumnDef::new(Column::EventId).uuid())
            .col(text(Column::Queue))
            .col(ColumnDef::new(Column::Ground).string_len(16).not_null())
            .col(text(Column::Error))
            .col(text(Column::RoutingKey))
            .col(text(Column::Source))
            .col(ColumnDef::new(Column::Subject).uuid())
            .col(moment(Column::Time))
            .col(ColumnDef::new(Column::Payload).binary().not_null())
            .col(ColumnDef::new(Column::Traceparent).text())
            .col(ColumnDef::new(Column::Attempts).integer().not_null())
            .col(ColumnDef::new(Column::State).string_len(16).not_null())
            .col(ColumnDef::new(Column::DecidedBy).uuid())
            .col(moment(Column::CreatedAt).not_null())
            .col(moment(Column::UpdatedAt).not_null())
            .to_owned();
        manager.create_table(table).await?;
        // A message is given up by a queue once, however often the broker tells so.
        let once = Index::create()
            .name("dead_letters_event_id_queue")
            .table("dead_letters")
            .col(Column::EventId)
            .col(Column::Queue)
            .unique()
            .to_owned();
        manager.create_index(once).await?;
        // A page of those in a state.
        let page = Index::create()
            .name("dead_letters_state_id")
            .table("dead_letters")
            .col(Column::State)
            .col(Column::Id)
            .to_owned();
        manager.create_index(page).await
    }
}
