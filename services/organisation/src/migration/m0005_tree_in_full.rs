use kernel::fold;
use sea_orm::{DbErr, EntityTrait as _};
use sea_orm_migration::prelude::*;

use super::{add_columns, index};
use crate::entity::{organisation, organisation_word};

/// Organisations get an archive mark, an invitation policy, and names to search and order by.
///
/// The columns have constant defaults: `organisations` is locked for a moment. Filling in the names
/// takes a statement a row.
pub(crate) struct TreeInFull;

impl MigrationName for TreeInFull {
    fn name(&self) -> &str {
        "m0005_tree_in_full"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for TreeInFull {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        use organisation::Column as Organisation;
        use organisation_word::Column as Word;
        add_columns(
            manager,
            "organisations",
            [
                ColumnDef::new(Organisation::SearchName).blob().not_null().default(""),
                ColumnDef::new(Organisation::ArchivedBy).uuid(),
                ColumnDef::new(Organisation::AllowedDomains).text().not_null().default(""),
                ColumnDef::new(Organisation::ApprovalRequired).boolean().not_null().default(false),
                ColumnDef::new(Organisation::DefaultRole).string_len(64).not_null().default(""),
                ColumnDef::new(Organisation::ExistingAccount)
                    .string_len(16)
                    .not_null()
                    .default("inherit"),
            ],
        )
        .await?;
        // The children of a node by name, page by page.
        let by_name = index("organisations_name", "organisations")
            .col(Organisation::ParentId)
            .col(Organisation::SearchName)
            .col(Organisation::Id)
            .take();
        manager.create_index(by_name).await?;
        let words = Table::create()
            .table("organisation_words")
            .col(ColumnDef::new(Word::Word).blob().not_null())
            .col(ColumnDef::new(Word::OrganisationId).uuid().not_null())
            .primary_key(Index::create().col(Word::Word).col(Word::OrganisationId))
            .foreign_key(
                ForeignKey::create()
                    .name("organisation_words_of_organisation")
                    .from("organisation_words", Word::OrganisationId)
                    .to("organisations", Organisation::Id)
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .to_owned();
        manager.create_table(words).await?;
        let of_organisation = index("organisation_words_organisation", "organisation_words")
            .col(Word::OrganisationId)
            .take();
        manager.create_index(of_organisation).await?;
        fill_in_names(manager).await
    }
}

async fn fill_in_names(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    for row in organisation::Entity::find().all(connection).await? {
        let folded = fold(&row.display_name).into_bytes();
        let update = Query::update()
            .table("organisations")
            .value(organisation::Column::SearchName, folded)
            .and_where(Expr::col(organisation::Column::Id).eq(row.id))
            .to_owned();
        manager.execute(update).await?;
        organisation_word::write(connection, row.id, &row.display_name).await?;
    }
    Ok(())
}
