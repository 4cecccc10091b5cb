use sea_orm_migration::prelude::*;

/// Indexes `deliveries` by state, for who looks after what failed anywhere. It locks the table against
/// writing while the index is built, which reads the table once.
pub(super) struct States;

impl MigrationName for States {
    fn name(&self) -> &str {
        "m0009_states"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for States {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let states = Index::create()
            .name("deliveries_state_id")
            .table("deliveries")
            .col("state")
            .col("id")
            .to_owned();
        manager.create_index(states).await
    }
}
