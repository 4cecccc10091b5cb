use sea_orm::DbErr;
use sea_orm_migration::prelude::*;

/// Drops `memberships_subject`: the primary key begins with the subject, too, and serves the list of
/// somebody's memberships.
///
/// PostgreSQL took either for the same when it looked for one membership by its whole key, and by
/// this index it read all memberships of the subject: for somebody with thousands, a hundred times as
/// much. It waits for those who read `memberships`, and then is done at once. The version before works
/// on, and sorts a page of own memberships.
pub(crate) struct MembershipsByKey;

impl MigrationName for MembershipsByKey {
    fn name(&self) -> &str {
        "m0016_memberships_by_key"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for MembershipsByKey {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let index = Index::drop().name("memberships_subject").table("memberships").to_owned();
        manager.drop_index(index).await
    }
}
