use sea_orm_migration::prelude::*;

/// Adds `deliveries.access_request_id`, which may be empty.
///
/// It locks the table for an instant on either engine: a column that may be empty and has no
/// default changes the catalogue alone, whatever the number of rows. It only expands: the version
/// before reads and writes the table as it did, and shows the nil UUID as the invitation of a mail
/// about an access request.
pub(super) struct AccessRequests;

impl MigrationName for AccessRequests {
    fn name(&self) -> &str {
        "m0003_access_requests"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for AccessRequests {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = ColumnDef::new("access_request_id").uuid().null().to_owned();
        manager.alter_table(Table::alter().table("deliveries").add_column(column).to_owned()).await
    }
}

#[cfg(test)]
mod tests {
    use db::migration::migrate;
    use kernel::{Time, Uuid};
    use sea_orm::{ActiveValue::Set, EntityTrait as _};
    use sea_orm_migration::MigratorTrait;
    use testkit::Bench;

    use super::*;
    use crate::{
        domain::delivery::Subject,
        entity::delivery::{ActiveModel, Entity, State},
        migration::Migrator,
    };

    testkit::on_both_databases!(what_the_version_before_wrote_stays_about_its_invitation);

    /// The version before.
    struct Before;

    impl MigratorTrait for Before {
        fn migrations() -> Vec<Box<dyn MigrationTrait>> {
            let mut migrations = Migrator::migrations();
            migrations.retain(|migration| migration.name() != AccessRequests.name());
            migrations
        }
    }

    async fn what_the_version_before_wrote_stays_about_its_invitation(bench: Bench) {
        let database = bench.infra.database("notification").await.unwrap();
        migrate::<Before>(&database).await.unwrap();
        write(&database, 1).await;
        assert_eq!(migrate::<Migrator>(&database).await.unwrap(), 1);
        // It may still run, and write, while this one starts.
        write(&database, 2).await;
        for row in Entity::find().all(database.read()).await.unwrap() {
            assert_eq!(row.subject(), Subject::Invitation(row.id));
        }
        assert_eq!(migrate::<Migrator>(&database).await.unwrap(), 0);
    }

    async fn write(database: &db::Database, number: u128) {
        let id = Uuid::from_u128(number);
        let row = ActiveModel {
            id: Set(id),
            event_id: Set(id),
            recipient: Set("ada@example.com".to_owned()),
            organisation_id: Set(id),
            invitation_id: Set(id),
            template: Set("invitation-new-user".to_owned()),
            locale: Set("en".to_owned()),
            state: Set(State::Sent),
            attempts: Set(1),
            last_error: Set(String::new()),
            message_id: Set("<1@usher>".to_owned()),
            created_at: Set(Time::UNIX_EPOCH),
            updated_at: Set(Time::UNIX_EPOCH),
            ..Default::default()
        };
        Entity::insert(row).exec_without_returning(database.read()).await.unwrap();
    }
}
