use sea_orm::DbErr;
use sea_orm_migration::prelude::*;

use super::{at, index};
use crate::entity::{access_request::Column as Request, organisation};

/// Creates `access_requests`. A new table: it locks nothing that is in use.
pub(crate) struct AccessRequests;

impl MigrationName for AccessRequests {
    fn name(&self) -> &str {
        "m0008_access_requests"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for AccessRequests {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("access_requests")
            .col(ColumnDef::new(Request::Id).uuid().not_null().primary_key())
            .col(ColumnDef::new(Request::OrganisationId).uuid().not_null())
            .col(ColumnDef::new(Request::RequesterId).uuid().not_null())
            .col(ColumnDef::new(Request::Roles).text().not_null())
            .col(ColumnDef::new(Request::ApplicationId).uuid())
            .col(ColumnDef::new(Request::InvitationId).uuid())
            .col(ColumnDef::new(Request::Target).string_len(128).not_null())
            .col(ColumnDef::new(Request::Reason).text().not_null())
            .col(ColumnDef::new(Request::State).string_len(16).not_null())
            .col(ColumnDef::new(Request::Overdue).boolean().not_null())
            .col(ColumnDef::new(Request::NoApprovers).boolean().not_null())
            .col(ColumnDef::new(Request::DecidedBy).uuid())
            .col(ColumnDef::new(Request::DecisionReason).text().not_null())
            .col(at(Request::CreatedAt).not_null())
            .col(at(Request::RemindAt).not_null())
            .col(at(Request::DueAt).not_null())
            .col(at(Request::ExpiresAt).not_null())
            .col(at(Request::DecidedAt))
            .col(at(Request::NextChangeAt))
            .foreign_key(
                ForeignKey::create()
                    .name("access_requests_of_organisation")
                    .from("access_requests", Request::OrganisationId)
                    .to("organisations", organisation::Column::Id),
            )
            .to_owned();
        manager.create_table(table).await?;
        // Nobody asks twice for the same at the same time.
        let one_pending = index("access_requests_one_pending", "access_requests")
            .unique()
            .col(Request::RequesterId)
            .col(Request::OrganisationId)
            .col(Request::Target)
            .and_where(Expr::col(Request::State).eq("pending"))
            .take();
        manager.create_index(one_pending).await?;
        for (name, column) in [
            ("access_requests_organisation", Request::OrganisationId),
            ("access_requests_requester", Request::RequesterId),
        ] {
            let page = index(name, "access_requests").col(column).col(Request::Id).take();
            manager.create_index(page).await?;
        }
        let due = index("access_requests_due", "access_requests")
            .col(Request::NextChangeAt)
            .and_where(Expr::col(Request::NextChangeAt).is_not_null())
            .take();
        manager.create_index(due).await
    }
}
