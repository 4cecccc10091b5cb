//! What leaves the outbox when, on both databases.

use std::collections::HashSet;

use db::{
    Database,
    outbox::{self, Column, Event},
};
use kernel::{Duration, Time, Uuid};
use sea_orm::{
    ConnectionTrait as _, DbBackend, QueryOrder as _, QuerySelect as _, QueryTrait as _,
    sea_query::Query,
};
use sea_orm_migration::{MigrationTrait, MigratorTrait};
use testkit::Bench;

testkit::on_both_databases!(
    an_event_that_an_older_version_wrote_must_arrive,
    a_subjects_events_leave_one_at_a_time_in_the_order_of_writing,
    what_was_refused_or_given_up_steps_aside,
    what_is_stuck_leaves_at_once_when_it_is_retried,
    a_restart_releases_what_was_claimed_and_not_what_waits_for_its_step,
    an_event_that_is_still_there_is_not_written_again,
    relays_share_the_work,
    a_claim_reads_no_more_than_it_takes,
);

struct Older;

impl MigratorTrait for Older {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(db::migration::Messaging)]
    }
}

struct Newer;

impl MigratorTrait for Newer {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(db::migration::Messaging),
            Box::new(db::migration::Announcements),
            Box::new(db::migration::Order),
        ]
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
    assert_eq!(db::migration::migrate::<Newer>(&database).await.unwrap(), 2);
    // It may still be running while the newer one is.
    database.read().execute(&write()).await.unwrap();
    let lease = Duration::seconds(1);
    let claimed = outbox::claim(&database, clock.now(), lease, 9).await.unwrap();
    let must_arrive: Vec<_> = claimed.iter().map(|row| row.must_arrive).collect();
    assert_eq!(must_arrive, [true, true]);
}

const LEASE: Duration = Duration::seconds(60);

async fn database(bench: &Bench) -> Database {
    let database = bench.infra.database("test").await.unwrap();
    db::migration::migrate::<Newer>(&database).await.unwrap();
    database
}

fn event(&(id, subject): &(u128, u128), at: Time) -> Event {
    Event {
        id: Uuid::from_u128(id),
        routing_key: "test.told.v1".to_owned(),
        subject: Uuid::from_u128(subject),
        payload: Vec::new(),
        traceparent: None,
        at,
        must_arrive: true,
        queue: None,
        source: None,
    }
}

async fn write(database: &Database, events: &[(u128, u128)], at: Time) {
    let tx = database.begin().await.unwrap();
    for one in events {
        outbox::insert(&tx, vec![event(one, at)]).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn claim(database: &Database, now: Time) -> Vec<u128> {
    let rows = outbox::claim(database, now, LEASE, 100).await.unwrap();
    rows.iter().map(|row| row.id.as_u128()).collect()
}

async fn finish(database: &Database, id: u128) {
    outbox::finish(database, &[Uuid::from_u128(id)]).await.unwrap();
}

async fn a_subjects_events_leave_one_at_a_time_in_the_order_of_writing(bench: Bench) {
    let (database, clock) = (database(&bench).await, &bench.infra.clock);
    // The identifiers tell nothing: they come from processes whose clocks differ.
    write(&database, &[(5, 1), (3, 1), (4, 2), (2, 1)], clock.now()).await;
    assert_eq!(claim(&database, clock.now()).await, [4, 5]);
    assert_eq!(claim(&database, clock.now()).await, [0_u128; 0]);
    finish(&database, 5).await;
    assert_eq!(claim(&database, clock.now()).await, [3]);
    // Its relay has crashed: nothing overtakes it, not even when its lease is over.
    bench.clock.advance(LEASE);
    assert_eq!(claim(&database, clock.now()).await, [3, 4]);
    finish(&database, 3).await;
    assert_eq!(claim(&database, clock.now()).await, [2]);
}

async fn what_was_refused_or_given_up_steps_aside(bench: Bench) {
    let (database, clock) = (database(&bench).await, &bench.infra.clock);
    write(&database, &[(1, 7), (2, 7), (3, 7)], clock.now()).await;
    assert_eq!(claim(&database, clock.now()).await, [1]);
    let later = clock.now() + Duration::seconds(5);
    outbox::refuse(&database, Uuid::from_u128(1), later, "nobody listens").await.unwrap();
    assert_eq!(claim(&database, clock.now()).await, [2]);
    outbox::bury(&database, Uuid::from_u128(2), "it cannot be published").await.unwrap();
    assert_eq!(claim(&database, clock.now()).await, [3]);
    let backlog = outbox::backlog(&database).await.unwrap();
    assert_eq!((backlog.waiting, backlog.refused, backlog.dead), (2, 1, 1));
    bench.clock.advance(Duration::seconds(5));
    let rows = outbox::claim(&database, clock.now(), LEASE, 100).await.unwrap();
    assert_eq!(rows[0].last_error, "nobody listens");
    assert_eq!((rows.len(), rows[0].attempts), (1, 1));
}

async fn what_is_stuck_leaves_at_once_when_it_is_retried(bench: Bench) {
    let (database, clock) = (database(&bench).await, &bench.infra.clock);
    write(&database, &[(1, 1), (2, 2), (3, 3)], clock.now()).await;
    assert_eq!(claim(&database, clock.now()).await, [1, 2, 3]);
    let tomorrow = clock.now() + Duration::days(1);
    outbox::refuse(&database, Uuid::from_u128(1), tomorrow, "nobody listens").await.unwrap();
    for id in [2, 3] {
        outbox::bury(&database, Uuid::from_u128(id), "it cannot be published").await.unwrap();
    }
    bench.clock.advance(LEASE);
    assert_eq!(claim(&database, clock.now()).await, [0_u128; 0]);
    // At once means that a relay is woken, as it was when they were written.
    let woken = async || {
        let patience = std::time::Duration::from_secs(5);
        tokio::time::timeout(patience, database.committed().notified()).await.expect("a wake-up");
    };
    woken().await;
    let retry = async |id: Option<u128>| {
        let id = id.map(Uuid::from_u128);
        let retried = outbox::retry(&database, id, clock.now()).await.unwrap();
        woken().await;
        retried
    };
    assert_eq!(retry(Some(3)).await, 1);
    assert_eq!(claim(&database, clock.now()).await, [3], "the others stay");
    assert_eq!(retry(None).await, 2);
    assert_eq!(claim(&database, clock.now()).await, [1, 2], "a relay has the third in hand");
    assert_eq!(outbox::backlog(&database).await.unwrap().dead, 0);
}

async fn a_restart_releases_what_was_claimed_and_not_what_waits_for_its_step(bench: Bench) {
    let (database, now) = (database(&bench).await, bench.infra.clock.now());
    write(&database, &[(1, 1), (2, 2), (3, 3)], now).await;
    assert_eq!(claim(&database, now).await, [1, 2, 3]);
    let step = now + Duration::hours(10);
    outbox::refuse(&database, Uuid::from_u128(2), step, "not yet").await.unwrap();
    // However often it restarts: each time would be an attempt.
    for _ in 0..2 {
        outbox::release(&database, now).await.unwrap();
        assert_eq!(claim(&database, now).await, [1, 3]);
    }
    assert_eq!(claim(&database, step).await, [1, 3, 2]);
}

async fn an_event_that_is_still_there_is_not_written_again(bench: Bench) {
    let (database, now) = (database(&bench).await, bench.infra.clock.now());
    write(&database, &[(1, 1)], now).await;
    let again = async || {
        let tx = database.begin().await.unwrap();
        let queue = Some("test.other".to_owned());
        let event = Event { queue, ..event(&(1, 1), now) };
        let is_written = outbox::insert_again(&tx, event).await.unwrap();
        tx.commit().await.unwrap();
        is_written
    };
    assert!(!again().await);
    finish(&database, 1).await;
    assert!(again().await);
    assert_eq!(claim(&database, now).await, [1]);
}

async fn relays_share_the_work(bench: Bench) {
    let (database, now) = (database(&bench).await, bench.infra.clock.now());
    let events: Vec<_> = (1..=400).map(|id| (id, id % 40)).collect();
    write(&database, &events, now).await;
    // Neither goes on before both have claimed.
    let both = tokio::sync::Barrier::new(2);
    let relay = async || {
        let mut told = Vec::new();
        loop {
            let rows = outbox::claim(&database, now, LEASE, 7).await.unwrap();
            if told.is_empty() {
                assert!(!rows.is_empty(), "both find work");
                both.wait().await;
            }
            if rows.is_empty() && outbox::backlog(&database).await.unwrap().waiting == 0 {
                return told;
            }
            let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
            told.extend(ids.iter().map(Uuid::as_u128));
            outbox::finish(&database, &ids).await.unwrap();
        }
    };
    let (left, right) = tokio::join!(relay(), relay());
    let told = [left.clone(), right.clone()].concat();
    assert_eq!(told.len(), 400, "each is claimed once");
    assert_eq!(told.iter().collect::<HashSet<_>>().len(), 400);
}

/// Whatever the planner takes the table for: when it looked, the table was empty.
async fn a_claim_reads_no_more_than_it_takes(bench: Bench) {
    let database = database(&bench).await;
    database.read().execute_unprepared("ANALYZE outbox").await.unwrap();
    let tx = outbox::begin_walk(&database).await.unwrap();
    let (words, column) = match tx.get_database_backend() {
        DbBackend::Sqlite => ("EXPLAIN QUERY PLAN", 3),
        _ => ("EXPLAIN", 0),
    };
    let now = bench.infra.clock.now();
    let query = outbox::due(&database, now).order_by_asc(Column::AvailableAt);
    let query = query.order_by_asc(Column::Id).limit(500);
    let mut explain = query.build(tx.get_database_backend());
    explain.sql = format!("{words} {}", explain.sql);
    let lines = tx.query_all_raw(explain).await.unwrap();
    let plan: Vec<String> =
        lines.iter().map(|line| line.try_get_by_index(column).unwrap()).collect();
    let plan = plan.join("\n");
    assert!(["outbox_due", "outbox_ahead"].iter().all(|index| plan.contains(index)), "{plan}");
    for slow in ["Seq Scan", "Bitmap", "Hash", "Materialize", "Sort", "TEMP B-TREE"] {
        assert!(!plan.contains(slow), "{plan}");
    }
    // Not all of it, for each event, until one is of its subject.
    let is_looked_up = ["Index Cond: ((subject = outbox.subject)", "(subject=?"];
    assert!(is_looked_up.iter().any(|it| plan.contains(it)), "{plan}");
}
