use sea_orm::DbErr;
use sea_orm_migration::prelude::*;

use super::index;
use crate::entity::audit_record::Column as Record;

/// Lets lists of the history find what came from an access request, and what was refused. It locks
/// the history against writing while its indexes are built: seconds for a million records.
pub(crate) struct AuditLists;

impl MigrationName for AuditLists {
    fn name(&self) -> &str {
        "m0010_audit_lists"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for AuditLists {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let of_request = index("audit_records_access_request", "audit_records")
            .col(Record::AccessRequestId)
            .col(Record::Id)
            .and_where(Expr::col(Record::AccessRequestId).is_not_null())
            .take();
        manager.create_index(of_request).await?;
        let refused = index("audit_records_refused", "audit_records")
            .col(Record::Id)
            .and_where(Expr::col(Record::Refusal).ne(""))
            .take();
        manager.create_index(refused).await
    }
}
