use sea_orm::DbErr;
use sea_orm_migration::prelude::*;

use super::index;
use crate::entity::invitation::Column as Invitation;

/// Lists of invitations by source, by application and by state begin where what they look for lies,
/// instead of reading past what others have.
///
/// `invitations` is locked against writing while each index is built: a second for a million. The
/// index `invitations_application`, which a later release drops, begins as the new one does.
pub(crate) struct InvitationsByFilter;

impl MigrationName for InvitationsByFilter {
    fn name(&self) -> &str {
        "m0014_invitations_by_filter"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for InvitationsByFilter {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // The rarer comes first: in a subtree, too, what has a source is found by it.
        let of_source = index("invitations_source", "invitations")
            .col(Invitation::SourceId)
            .col(Invitation::OrganisationId)
            .col(Invitation::Id)
            .and_where(Expr::col(Invitation::SourceId).ne(""))
            .take();
        manager.create_index(of_source).await?;
        let of_application = index("invitations_application_page", "invitations")
            .col(Invitation::ApplicationId)
            .col(Invitation::OrganisationId)
            .col(Invitation::Id)
            .and_where(Expr::col(Invitation::ApplicationId).is_not_null())
            .take();
        manager.create_index(of_application).await?;
        // Those that are pending have `invitations_waiting`.
        let settled = index("invitations_settled", "invitations")
            .col(Invitation::OrganisationId)
            .col(Invitation::State)
            .col(Invitation::Id)
            .and_where(Expr::col(Invitation::State).ne("pending"))
            .take();
        manager.create_index(settled).await
    }
}
