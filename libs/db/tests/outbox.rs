//! The outbox of an older version, on both databases.

use db::outbox::{self, Column};
use kernel::Duration;
use sea_orm::{ConnectionTrait as _, sea_query::Query};
use sea_orm_migration::{MigrationTrait, MigratorTrait};
use testkit::Bench;

testkit::on_both_databases!(an_event_that_an_older_version_wrote_must_arrive);

struct Older;

impl MigratorTrait for Older {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(db::migration::Messaging)]
    }
}

struct Newer;

impl MigratorTrait for Newer {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(db::migration::Messaging), Box::new(db::migration::Announcements)]
    }
}

async fn an_event_that_an_older_version_wrote_must_arrive(bench: Bench) {
    let (database, clock) = (bench.infra.database("test").await.unwrap(), bench.infra.clock);
    assert_eq!(db::migration::migrate::<Older>(&database).await.unwrap(), 1);
    let write = || {
        let (id, now) = (clock.new_id(), clock.now());
        Query::insert()
            .into_table(outbox::Entity)
            .columns([
                Column::Id,
                Column::RoutingKey,
                Column::Subject,
                Column::Payload,
                Column::CreatedAt,
                Column::AvailableAt,
                Column::Attempts,
            ])
            .values_panic([
                id.into(),
                "test.told.v1".into(),
                id.into(),
                vec![0_u8].into(),
                now.into(),
                now.into(),
                0.into(),
            ])
            .take()
    };
    database.read().execute(&write()).await.unwrap();
    assert_eq!(db::migration::migrate::<Newer>(&database).await.unwrap(), 1);
    // It may still be running while the newer one is.
    database.read().execute(&write()).await.unwrap();
    let lease = Duration::seconds(1);
    let claimed = outbox::claim(&database, clock.now(), lease, 9).await.unwrap();
    let must_arrive: Vec<_> = claimed.iter().map(|row| row.must_arrive).collect();
    assert_eq!(must_arrive, [true, true]);
}
