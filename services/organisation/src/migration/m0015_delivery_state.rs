use sea_orm::DbErr;
use sea_orm_migration::prelude::*;

use super::{add_columns, at, index};
use crate::entity::invitation::Column as Invitation;

/// How the mail about an invitation fares.
///
/// `invitations` is locked for an instant for each column, whatever the number of rows, and against
/// writing while the index is built, which finds nothing yet. What is there has no delivery state, and
/// so has what the version before makes, until something is heard of its next mail.
pub(crate) struct DeliveryState;

impl MigrationName for DeliveryState {
    fn name(&self) -> &str {
        "m0015_delivery_state"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for DeliveryState {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut columns = [
            ColumnDef::new(Invitation::DeliveryState).string_len(16).null().take(),
            ColumnDef::new(Invitation::DeliveryReason).string_len(64).not_null().default("").take(),
            at(Invitation::DeliveryChangedAt).null().take(),
            ColumnDef::new(Invitation::DeliveryVersion).integer().not_null().default(0).take(),
        ];
        add_columns(manager, "invitations", &mut columns).await?;
        // Those for which nobody was reached are few, and looked for.
        let undelivered = index("invitations_undelivered", "invitations")
            .col(Invitation::OrganisationId)
            .col(Invitation::DeliveryState)
            .col(Invitation::Id)
            .and_where(Expr::col(Invitation::DeliveryState).ne("queued"))
            .and_where(Expr::col(Invitation::DeliveryState).ne("sent"))
            .take();
        manager.create_index(undelivered).await
    }
}
