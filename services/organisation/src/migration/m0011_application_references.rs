use sea_orm::DbErr;
use sea_orm_migration::prelude::*;

use super::index;
use crate::entity::{access_request::Column as Request, invitation::Column as Invitation};

/// Finds what names an application: for lists of its requests, and when it is removed.
///
/// `access_requests` and `invitations` are locked against writing while their index is built.
pub(crate) struct ApplicationReferences;

impl MigrationName for ApplicationReferences {
    fn name(&self) -> &str {
        "m0011_application_references"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for ApplicationReferences {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let requests = index("access_requests_application", "access_requests")
            .col(Request::ApplicationId)
            .col(Request::Id)
            .and_where(Expr::col(Request::ApplicationId).is_not_null())
            .take();
        manager.create_index(requests).await?;
        let invitations = index("invitations_application", "invitations")
            .col(Invitation::ApplicationId)
            .and_where(Expr::col(Invitation::ApplicationId).is_not_null())
            .take();
        manager.create_index(invitations).await
    }
}
