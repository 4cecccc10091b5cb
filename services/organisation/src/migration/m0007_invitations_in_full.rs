use sea_orm::DbErr;
use sea_orm_migration::prelude::*;

use super::{add_columns, at, index};
use crate::entity::invitation::Column as Invitation;

/// Invitations get what they say and offer beyond an address and roles, their reminder, and the
/// orders in which they are listed.
///
/// The columns have constant defaults or none: `invitations` is locked for a moment, and against
/// writing while each index is built.
pub(crate) struct InvitationsInFull;

impl MigrationName for InvitationsInFull {
    fn name(&self) -> &str {
        "m0007_invitations_in_full"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for InvitationsInFull {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let text = |column, most| {
            ColumnDef::new(column).string_len(most).not_null().default("").to_owned()
        };
        add_columns(
            manager,
            "invitations",
            [
                &mut text(Invitation::FirstName, 200),
                &mut text(Invitation::LastName, 200),
                &mut text(Invitation::Institution, 200),
                ColumnDef::new(Invitation::ApplicationId).uuid(),
                ColumnDef::new(Invitation::PersonalMessage).text().not_null().default(""),
                &mut at(Invitation::MembershipValidFrom),
                &mut at(Invitation::MembershipExpiresAt),
                &mut text(Invitation::SourceId, 200),
                ColumnDef::new(Invitation::CallbackUrl).text().not_null().default(""),
                ColumnDef::new(Invitation::AccessRequestId).uuid(),
                &mut at(Invitation::RemindAt),
                ColumnDef::new(Invitation::SearchName).blob().not_null().default(""),
                ColumnDef::new(Invitation::Version).integer().not_null().default(1),
            ],
        )
        .await?;
        let pending = || Expr::col(Invitation::State).eq("pending");
        for (name, column) in [
            ("invitations_expiry", Invitation::ExpiresAt),
            ("invitations_reminder", Invitation::RemindAt),
        ] {
            let due = index(name, "invitations").col(column).and_where(pending()).take();
            manager.create_index(due).await?;
        }
        for (name, column) in [
            ("invitations_invitee", Invitation::InviteeId),
            ("invitations_inviter", Invitation::InviterId),
        ] {
            let page = index(name, "invitations").col(column).col(Invitation::Id).take();
            manager.create_index(page).await?;
        }
        let of_address = index("invitations_email", "invitations")
            .col(Invitation::OrganisationId)
            .col(Invitation::Email)
            .col(Invitation::Id)
            .take();
        manager.create_index(of_address).await?;
        let waiting_by_name = index("invitations_name", "invitations")
            .col(Invitation::OrganisationId)
            .col(Invitation::SearchName)
            .col(Invitation::Id)
            .and_where(pending())
            .take();
        manager.create_index(waiting_by_name).await
    }
}
