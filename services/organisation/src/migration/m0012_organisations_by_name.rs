use sea_orm::DbErr;
use sea_orm_migration::prelude::*;

use super::index;
use crate::entity::organisation::Column as Organisation;

/// Organisations are listed by name across the tree, not only below one parent. It locks
/// `organisations` against writing while the index is built.
pub(crate) struct OrganisationsByName;

impl MigrationName for OrganisationsByName {
    fn name(&self) -> &str {
        "m0012_organisations_by_name"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for OrganisationsByName {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let by_name = index("organisations_by_name", "organisations")
            .col(Organisation::SearchName)
            .col(Organisation::Id)
            .take();
        manager.create_index(by_name).await
    }
}
