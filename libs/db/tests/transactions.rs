//! What becomes of transactions that nobody ends, on both databases.

use sea_orm::{ConnectionTrait as _, Statement};
use sea_orm_migration::{MigrationTrait, MigratorTrait};
use testkit::Bench;
use tokio::task::yield_now;

testkit::on_both_databases!(who_goes_away_while_a_transaction_begins_leaves_none_behind);

struct Nothing;

impl MigratorTrait for Nothing {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        Vec::new()
    }
}

/// A client that does not wait any longer, or a call whose time is up.
async fn who_goes_away_while_a_transaction_begins_leaves_none_behind(bench: Bench) {
    let database = bench.infra.database("test").await.unwrap();
    db::migration::migrate::<Nothing>(&database).await.unwrap();
    database.read().execute_unprepared("CREATE TABLE notes (id INTEGER)").await.unwrap();
    let mut dropped = 0;
    for id in 0..100 {
        // Each goes a little further before there is no time left.
        let no_time_left = async {
            for _ in 0..id {
                yield_now().await;
            }
        };
        tokio::select! {
            begun = database.begin() => drop(begun.unwrap()),
            () = no_time_left => dropped += 1,
        }
        let write = format!("INSERT INTO notes VALUES ({id})");
        database.read().execute_unprepared(&write).await.unwrap();
    }
    assert!(dropped > 0, "all transactions had begun");

    let neighbour = bench.infra.database("test").await.unwrap();
    let backend = neighbour.read().get_database_backend();
    let count = Statement::from_string(backend, "SELECT COUNT(*) FROM notes");
    let count = neighbour.read().query_one_raw(count).await.unwrap().unwrap();
    assert_eq!(count.try_get_by_index::<i64>(0), Ok(100));
}
