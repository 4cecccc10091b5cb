use api::organisation::v1::{AccessRequestMail::*, *};
use kernel::Duration;
use testkit::{Bench, eventually};

use super::*;
use crate::{access_requests::keep_time::keep_time, testing::reason};

testkit::on_both_databases!(
    whoever_can_decide_is_reminded_a_day_before_it_is_overdue,
    a_request_expires_and_everybody_hears_of_it,
    several_instances_do_everything_once,
    a_request_whose_time_is_over_is_not_decided,
);

/// Waits until a request says so; the service's own timer may have been faster than the test's.
async fn until(
    stage: &Stage,
    request: &str,
    what: &str,
    holds: impl Fn(&access_request::Model) -> bool,
) {
    eventually(what, async || {
        while keep_time(&stage.service).await.unwrap() {}
        holds(&row(stage, request).await).then_some(())
    })
    .await;
}

async fn whoever_can_decide_is_reminded_a_day_before_it_is_overdue(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = root_of(&stage, "ABC Holdings").await;
    let leaver = stage.member("leaver@example.com", &root, &["approver"]).await;
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    let asked = ask(&ada, &root, "approver").await.unwrap();
    let before = mails(&stage, &[]).await.len();
    assert!(!keep_time(&stage.service).await.unwrap(), "nothing is due yet");
    assert_eq!(mails(&stage, &[]).await.len(), before);
    // Who can decide is looked up anew.
    demote(&stage, &leaver, &root).await;
    stage.pass(Duration::days(4));
    until(&stage, &asked.id, "it is reminded of", |row| row.next_change_at == Some(row.due_at))
        .await;
    let told = mails(&stage, &[&owner, &leaver, &ada]).await.split_off(before);
    assert_eq!(told, [(Reminded, owner.email.clone())]);
    assert!(!row(&stage, &asked.id).await.overdue);
    demote(&stage, &owner, &root).await;
    stage.pass(Duration::days(1));
    until(&stage, &asked.id, "it is overdue", |row| row.overdue && row.no_approvers).await;
    assert_eq!(row(&stage, &asked.id).await.state, access_request::State::Pending);
    assert_eq!(mails(&stage, &[]).await.len(), before + 1, "once is enough");
}

async fn a_request_expires_and_everybody_hears_of_it(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = root_of(&stage, "ABC Holdings").await;
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    let asked = ask(&ada, &root, "approver").await.unwrap();
    let before = mails(&stage, &[]).await.len();
    stage.pass(Duration::days(90));
    let expired = access_request::State::Expired;
    until(&stage, &asked.id, "it has expired", |row| row.state == expired).await;
    let told = mails(&stage, &[&owner, &ada]).await.split_off(before);
    assert_eq!(told, [(Decided, ada.email.clone()), (Settled, owner.email.clone())]);
    // It can be asked for again.
    let ada = stage.person("ada@example.com");
    assert_eq!(reason(ask(&ada, &root, "approver").await), "OK");
}

async fn several_instances_do_everything_once(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = root_of(&stage, "ABC Holdings").await;
    let mut asked = Vec::new();
    for n in 0..25 {
        let who = stage.member(&format!("m{n}@example.com"), &root, &["user"]).await;
        asked.push(ask(&who, &root, "approver").await.unwrap().id);
    }
    let before = mails(&stage, &[]).await.len();
    for (days, mail, each) in [(4, Reminded, 1), (86, Settled, 2)] {
        let before = mails(&stage, &[]).await.len();
        stage.pass(Duration::days(days));
        testkit::race(4, |_| {
            let service = stage.service.clone();
            async move { while keep_time(&service).await.unwrap() {} }
        })
        .await;
        for request in &asked {
            until(&stage, request, "it is done", |row| {
                row.next_change_at.is_none_or(|next| next > stage.now())
            })
            .await;
        }
        let told = mails(&stage, &[&owner]).await.split_off(before);
        let to_owner = told.iter().filter(|it| **it == (mail, owner.email.clone())).count();
        assert_eq!((to_owner, told.len()), (25, 25 * each), "{mail:?}");
    }
    assert!(mails(&stage, &[]).await.len() > before);
}

async fn a_request_whose_time_is_over_is_not_decided(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (_, root) = root_of(&stage, "ABC Holdings").await;
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    let asked = ask(&ada, &root, "approver").await.unwrap();
    stage.pass(Duration::days(90));
    let owner = stage.person("abc-holdings-owner@example.com");
    for refused in [approve(&owner, &asked.id).await, reject(&owner, &asked.id).await] {
        assert_eq!(reason(refused), "ACCESS_REQUEST_SETTLED");
    }
    let get = GetAccessRequestRequest { id: asked.id };
    let got = owner.access_requests().get_access_request(get).await.unwrap().into_inner();
    assert_eq!(got.access_request.unwrap().state(), AccessRequestState::Expired);
}
