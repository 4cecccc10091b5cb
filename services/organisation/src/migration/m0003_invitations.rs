use sea_orm::DbErr;
use sea_orm_migration::prelude::*;

use crate::entity::{invitation::Column as Invitation, organisation::Column as Organisation};

/// Creates `invitations`. A new table: it locks nothing that is in use.
pub(crate) struct Invitations;

impl MigrationName for Invitations {
    fn name(&self) -> &str {
        "m0003_invitations"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Invitations {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let at = |column| ColumnDef::new(column).timestamp_with_time_zone().to_owned();
        manager
            .create_table(
                Table::create()
                    .table("invitations")
                    .col(ColumnDef::new(Invitation::Id).uuid().not_null().primary_key())
                    .col(ColumnDef::new(Invitation::OrganisationId).uuid().not_null())
                    .col(ColumnDef::new(Invitation::Email).string_len(254).not_null())
                    .col(ColumnDef::new(Invitation::DisplayName).string_len(200).not_null())
                    .col(ColumnDef::new(Invitation::Roles).text().not_null())
                    .col(ColumnDef::new(Invitation::State).string_len(16).not_null())
                    .col(ColumnDef::new(Invitation::Locale).string_len(35).not_null())
                    .col(ColumnDef::new(Invitation::InviterId).uuid().not_null())
                    .col(ColumnDef::new(Invitation::InviterKind).string_len(16).not_null())
                    .col(ColumnDef::new(Invitation::InviteeId).uuid().not_null())
                    .col(ColumnDef::new(Invitation::Issue).integer().not_null())
                    .col(at(Invitation::ExpiresAt).not_null())
                    .col(at(Invitation::CreatedAt).not_null())
                    .col(at(Invitation::UpdatedAt).not_null())
                    .col(at(Invitation::DeletedAt))
                    .foreign_key(
                        ForeignKey::create()
                            .from("invitations", Invitation::OrganisationId)
                            .to("organisations", Organisation::Id),
                    )
                    .to_owned(),
            )
            .await?;
        // At most one pending invitation for an organisation and address.
        manager
            .create_index(
                Index::create()
                    .unique()
                    .name("invitations_one_pending")
                    .table("invitations")
                    .col(Invitation::OrganisationId)
                    .col(Invitation::Email)
                    .and_where(Expr::col(Invitation::State).eq("pending"))
                    .to_owned(),
            )
            .await?;
        // The invitations of an organisation, page by page.
        manager
            .create_index(
                Index::create()
                    .name("invitations_organisation")
                    .table("invitations")
                    .col(Invitation::OrganisationId)
                    .col(Invitation::Id)
                    .to_owned(),
            )
            .await
    }
}
