use api::organisation::v1::*;
use kernel::Duration;
use testkit::Bench;

use super::*;
use crate::{
    entity::membership,
    memberships::keep_time::keep_time,
    testing::{Stage, reason},
};

testkit::on_both_databases!(
    rights_begin_and_end_with_the_moment,
    a_check_waits_for_nobody_to_notice_a_beginning_or_an_end,
    a_beginning_and_an_end_are_told_once_by_many_instances,
    an_end_that_was_put_off_is_none,
);

async fn boxed(stage: &Stage, by: &Who, root: &str, whom: &Who, days: (i64, i64)) {
    let at = |days| Some(api::timestamp(stage.now() + Duration::days(days)));
    let request = CreateMembershipRequest {
        organisation_id: root.to_owned(),
        user_id: whom.id.to_string(),
        roles: keys(&["admin"]),
        valid_from: at(days.0),
        expires_at: at(days.1),
        ..Default::default()
    };
    by.memberships().create_membership(request).await.unwrap();
}

async fn rights_begin_and_end_with_the_moment(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    let ada = stage.person("ada@example.com");
    boxed(&stage, &owner, &root, &ada, (1, 2)).await;
    // A token does not last that long: whoever asks has a new one.
    let allowed = async || {
        let ada = stage.person("ada@example.com");
        stage.allows(&ada, &root, "members.read").await
    };
    let second = Duration::seconds(1);
    assert!(!allowed().await);
    stage.pass(Duration::days(1) - second);
    assert!(!allowed().await);
    stage.pass(second);
    assert!(allowed().await);
    stage.pass(Duration::days(1) - second);
    assert!(allowed().await);
    stage.pass(second);
    assert!(!allowed().await);
}

async fn a_check_waits_for_nobody_to_notice_a_beginning_or_an_end(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    let ada = stage.person("ada@example.com");
    boxed(&stage, &owner, &root, &ada, (1, 2)).await;
    // The clock stands, so that nothing has written a beginning or an end down.
    let database = stage.service.database.read();
    for (hours, counts) in [(23, false), (24, true), (47, true), (48, false)] {
        let then = stage.now() + Duration::hours(hours);
        let rights = membership::rights(database, ada.id, root.parse().unwrap(), then).await;
        assert_eq!(!rights.unwrap().held.is_empty(), counts, "after {hours} hours");
    }
}

async fn a_beginning_and_an_end_are_told_once_by_many_instances(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    let (heard, _another) = (stage.listen(), stage.another().await);
    let mut people = Vec::new();
    for number in 0..5 {
        let person = stage.person(&format!("{number}@example.com"));
        boxed(&stage, &owner, &root, &person, (1, 2)).await;
        people.push(person);
    }
    let told = |key: &str| heard.events(key, &root).len();
    for (begun, ended) in [(5, 0), (5, 5)] {
        stage.pass(Duration::days(1));
        let runs = testkit::race(50, |_| {
            let service = stage.service.clone();
            async move { keep_time(&service).await.map(|_| ()) }
        });
        assert!(runs.await.into_iter().all(|run| run.is_ok()));
        testkit::eventually("it is told", async || {
            stage.relayed().await;
            let told =
                told("organisation.membership.begun.v1") + told("organisation.membership.ended.v1");
            (told == begun + ended).then_some(())
        })
        .await;
        assert_eq!(told("organisation.membership.begun.v1"), begun);
        assert_eq!(told("organisation.membership.ended.v1"), ended);
    }
    let owner = stage.person(&owner.email);
    for person in &people {
        assert_eq!(stage.history("members.end", &person.id.to_string()).await, 1);
        assert_eq!(reason(get(&owner, &root, person).await), "MEMBERSHIP_NOT_FOUND");
    }
}

async fn an_end_that_was_put_off_is_none(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    let day = |days| Some(api::timestamp(stage.now() + Duration::days(days)));
    set_end(&owner, &root, &ada, day(1)).await.unwrap();
    set_end(&owner, &root, &ada, None).await.unwrap();
    stage.pass(Duration::days(2));
    while keep_time(&stage.service).await.unwrap() {}
    assert!(stage.allows(&stage.person("ada@example.com"), &root, "organisations.read").await);
}
