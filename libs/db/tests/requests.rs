//! Requests that are repeated, on both databases.

use std::sync::Arc;

use db::{
    Database,
    request::{self, Begun, Key},
};
use kernel::{Duration, Time, Uuid};
use sea_orm::{ActiveValue::Set, EntityTrait as _, PaginatorTrait as _};
use sea_orm_migration::{MigrationTrait, MigratorTrait};
use testkit::{Bench, race};

testkit::on_both_databases!(
    of_many_at_once_one_is_the_first_and_the_others_hear_its_answer,
    a_repetition_waits_for_the_first_and_carries_on_if_that_is_undone,
    an_identifier_of_another_request_is_a_conflict,
    every_caller_and_identifier_has_its_own_answer,
    after_a_day_an_identifier_is_as_good_as_new,
    a_request_without_its_answer_is_never_answered,
    what_is_old_is_forgotten_however_much_it_is,
);

struct Tables;

impl MigratorTrait for Tables {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(db::migration::Requests)]
    }
}

async fn tables(bench: &Bench) -> Database {
    let database = bench.infra.database("test").await.unwrap();
    db::migration::migrate::<Tables>(&database).await.unwrap();
    database
}

fn key() -> Key {
    Key {
        caller: Uuid::from_u128(1),
        request_id: Uuid::from_u128(2),
        method: "Create",
        fingerprint: [3; 32],
    }
}

/// A whole request: what is known, and its answer if it is the first.
async fn carry_out(database: &Database, key: Key, now: Time, answer: &[u8]) -> Begun {
    let tx = database.begin().await.unwrap();
    let begun = request::begin(&tx, &key, now).await.unwrap();
    if begun == Begun::First {
        request::answer(&tx, &key, answer.to_vec()).await.unwrap();
    }
    tx.commit().await.unwrap();
    begun
}

async fn of_many_at_once_one_is_the_first_and_the_others_hear_its_answer(bench: Bench) {
    let (database, now) = (Arc::new(tables(&bench).await), bench.infra.clock.now());
    let answers = race(20, |index| {
        let database = database.clone();
        async move {
            let answer = [u8::try_from(index).unwrap(); 4];
            (carry_out(&database, key(), now, &answer).await, answer)
        }
    })
    .await;
    let first: Vec<_> = answers.iter().filter(|(begun, _)| *begun == Begun::First).collect();
    let [(_, answer)] = first[..] else { panic!("{answers:?}") };
    let repeated = Begun::Repeated(answer.to_vec());
    assert_eq!(answers.iter().filter(|(begun, _)| *begun == repeated).count(), 19, "{answers:?}");
}

async fn a_repetition_waits_for_the_first_and_carries_on_if_that_is_undone(bench: Bench) {
    let (database, now) = (tables(&bench).await, bench.infra.clock.now());
    let tx = database.begin().await.unwrap();
    assert_eq!(request::begin(&tx, &key(), now).await.unwrap(), Begun::First);
    let repetition = {
        let database = database.clone();
        tokio::spawn(async move { carry_out(&database, key(), now, b"second").await })
    };
    tokio::task::yield_now().await;
    request::answer(&tx, &key(), b"first".to_vec()).await.unwrap();
    assert!(!repetition.is_finished());
    drop(tx);
    assert_eq!(repetition.await.unwrap(), Begun::First);
    let third = carry_out(&database, key(), now, b"third").await;
    assert_eq!(third, Begun::Repeated(b"second".to_vec()));
}

async fn an_identifier_of_another_request_is_a_conflict(bench: Bench) {
    let (database, now) = (tables(&bench).await, bench.infra.clock.now());
    carry_out(&database, key(), now, b"answer").await;
    for other in [Key { method: "Delete", ..key() }, Key { fingerprint: [4; 32], ..key() }] {
        assert_eq!(carry_out(&database, other, now, b"other").await, Begun::Conflict);
    }
    let again = carry_out(&database, key(), now, b"again").await;
    assert_eq!(again, Begun::Repeated(b"answer".to_vec()));
}

async fn every_caller_and_identifier_has_its_own_answer(bench: Bench) {
    let (database, now) = (tables(&bench).await, bench.infra.clock.now());
    let keys = [
        key(),
        Key { caller: Uuid::from_u128(9), ..key() },
        Key { request_id: Uuid::from_u128(9), ..key() },
    ];
    for (key, answer) in keys.iter().zip([b"one", b"two", b"six"]) {
        assert_eq!(carry_out(&database, *key, now, answer).await, Begun::First);
    }
    for (key, answer) in keys.iter().zip([b"one", b"two", b"six"]) {
        let again = carry_out(&database, *key, now, b"again").await;
        assert_eq!(again, Begun::Repeated(answer.to_vec()));
    }
}

async fn after_a_day_an_identifier_is_as_good_as_new(bench: Bench) {
    let (database, now) = (tables(&bench).await, bench.infra.clock.now());
    carry_out(&database, key(), now, b"answer").await;
    let other = Key { method: "Delete", fingerprint: [4; 32], ..key() };
    let within = now + Duration::hours(24) - Duration::microseconds(1);
    assert_eq!(carry_out(&database, other, within, b"other").await, Begun::Conflict);
    let later = now + Duration::hours(24);
    assert_eq!(carry_out(&database, other, later, b"").await, Begun::First);
    assert_eq!(carry_out(&database, other, later, b"again").await, Begun::Repeated(Vec::new()));
    assert_eq!(carry_out(&database, key(), later, b"again").await, Begun::Conflict);
}

async fn a_request_without_its_answer_is_never_answered(bench: Bench) {
    let (database, now) = (tables(&bench).await, bench.infra.clock.now());
    let tx = database.begin().await.unwrap();
    request::begin(&tx, &key(), now).await.unwrap();
    tx.commit().await.unwrap();
    let tx = database.begin().await.unwrap();
    assert!(request::begin(&tx, &key(), now).await.is_err());
}

async fn what_is_old_is_forgotten_however_much_it_is(bench: Bench) {
    let (database, now) = (tables(&bench).await, bench.infra.clock.now());
    let old = |n: u128| request::ActiveModel {
        caller: Set(Uuid::from_u128(7)),
        request_id: Set(Uuid::from_u128(n)),
        method: Set("Create".to_owned()),
        fingerprint: Set(vec![0; 32]),
        answer: Set(Some(Vec::new())),
        created_at: Set(now - Duration::hours(25)),
    };
    // More than two statements may remove.
    request::Entity::insert_many((0..2_100).map(old)).exec(database.read()).await.unwrap();
    carry_out(&database, key(), now, b"answer").await;
    request::prune(&database, now - request::REMEMBERED).await.unwrap();
    assert_eq!(request::Entity::find().count(database.read()).await.unwrap(), 1);
    let again = carry_out(&database, key(), now, b"again").await;
    assert_eq!(again, Begun::Repeated(b"answer".to_vec()));
}
