use api::organisation::v1::*;
use kernel::{Duration, Uuid};
use testkit::Bench;

use super::*;
use crate::{
    entity::membership,
    testing::{Stage, reason},
};

testkit::on_both_databases!(
    the_last_owner_of_a_root_stays,
    so_does_that_of_the_platform,
    of_two_last_owners_who_go_at_once_one_stays,
    a_removal_and_a_change_at_once_leave_no_half_member,
);

const ROUNDS: usize = 200;

/// Each way in which an owner can go.
async fn go(way: usize, by: &Who, root: &str, stage_end: Option<Timestamp>) -> String {
    match way {
        0 => reason(remove(by, root, by).await),
        1 => reason(set_roles(by, root, by, &["user"]).await),
        2 => reason(suspend(by, root, by).await),
        3 => reason(set_end(by, root, by, stage_end).await),
        _ => {
            let later = Membership { valid_from: stage_end, ..Default::default() };
            reason(update(by, root, by, later, &["valid_from"]).await)
        }
    }
}

async fn the_last_owner_of_a_root_stays(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    let platform = stage.platform_owner().await;
    let later = Some(api::timestamp(stage.now() + Duration::days(1)));
    // Whoever created the root owns it too.
    remove(&owner, &root, &platform).await.unwrap();
    // Owners who are suspended or whose time ends do not count.
    let second = stage.member("second@example.com", &root, &["owner"]).await;
    suspend(&owner, &root, &second).await.unwrap();
    let third = stage.member("third@example.com", &root, &["owner"]).await;
    set_end(&owner, &root, &third, later).await.unwrap();
    for way in 0..5 {
        assert_eq!(go(way, &owner, &root, later).await, "LAST_OWNER", "{way}");
    }
    assert_eq!(reason(remove(&platform, &root, &owner).await), "LAST_OWNER");
    // Who is not the last goes, and so does who does not count.
    remove(&owner, &root, &third).await.unwrap();
    resume(&owner, &root, &second).await.unwrap();
    assert_eq!(go(1, &owner, &root, None).await, "OK");
    // A sub-organisation has its owners from above.
    let child = stage.organisation(&second, "Child", &root).await;
    let local = stage.member("local@example.com", &child, &["owner"]).await;
    assert_eq!(go(0, &local, &child, None).await, "OK");
}

async fn so_does_that_of_the_platform(bench: Bench) {
    let stage = Stage::set(bench).await;
    let platform = stage.platform_owner().await;
    let top = Uuid::nil().to_string();
    let later = Some(api::timestamp(stage.now() + Duration::days(1)));
    for way in 0..5 {
        assert_eq!(go(way, &platform, &top, later).await, "LAST_OWNER", "{way}");
    }
}

async fn of_two_last_owners_who_go_at_once_one_stays(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (first, root) = stage.root("ABC").await;
    let platform = stage.platform_owner().await;
    remove(&first, &root, &platform).await.unwrap();
    let second = stage.member("second@example.com", &root, &["owner"]).await;
    let id: Uuid = root.parse().unwrap();
    for round in 0..ROUNDS {
        let later = Some(api::timestamp(stage.now() + Duration::days(1)));
        let answers = testkit::race(2, |index| {
            let (who, root) = (if index == 0 { &first } else { &second }.clone(), root.clone());
            // Every way against every other.
            let way = if index == 0 { round % 5 } else { round / 5 % 5 };
            async move { go(way, &who, &root, later).await }
        });
        let mut answers = answers.await;
        answers.sort();
        assert_eq!(answers, ["LAST_OWNER", "OK"], "round {round}");
        let database = stage.service.database.read();
        let owned = membership::has_lasting_owner(database, id, stage.now()).await.unwrap();
        assert!(owned, "round {round}");
        for who in [&first, &second] {
            let top = [&platform, who];
            restore(top, &root).await;
        }
    }
}

/// Makes somebody an owner for good, whatever became of them.
async fn restore([platform, who]: [&Who; 2], root: &str) {
    if reason(create(platform, root, who, &["owner"]).await) == "ALREADY_MEMBER" {
        resume(platform, root, who).await.unwrap();
        let owner = Membership { roles: keys(&["owner"]), ..Default::default() };
        let mask = ["roles", "valid_from", "expires_at"];
        update(platform, root, who, owner, &mask).await.unwrap();
    }
}

async fn a_removal_and_a_change_at_once_leave_no_half_member(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    let ada = stage.person("ada@example.com");
    for round in 0..ROUNDS {
        create(&owner, &root, &ada, &["user"]).await.unwrap();
        let answers = testkit::race(2, |index| {
            let (owner, ada, root) = (owner.clone(), ada.clone(), root.clone());
            async move {
                match index {
                    0 => reason(remove(&owner, &root, &ada).await),
                    _ => reason(set_roles(&owner, &root, &ada, &["admin"]).await),
                }
            }
        });
        let answers = answers.await;
        assert_eq!(answers[0], "OK", "round {round}");
        assert!(["OK", "MEMBERSHIP_NOT_FOUND"].contains(&answers[1].as_str()), "{answers:?}");
        assert_eq!(reason(get(&owner, &root, &ada).await), "MEMBERSHIP_NOT_FOUND");
        assert!(!stage.allows(&ada, &root, "organisations.read").await, "round {round}");
    }
}
