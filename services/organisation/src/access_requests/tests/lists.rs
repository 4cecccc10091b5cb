use api::organisation::v1::*;
use testkit::Bench;

use super::*;
use crate::{
    entity::organisation::PLATFORM,
    testing::{reason, violations},
};

testkit::on_both_databases!(
    whoever_reads_requests_sees_those_there_and_below,
    support_sees_the_requests_of_all_roots,
    a_list_is_narrowed_and_turned_round_page_by_page,
    everybody_sees_their_own_requests,
);

async fn ids(who: &Who, request: ListAccessRequestsRequest) -> Result<Vec<String>, Status> {
    let mut request = request;
    let mut all = Vec::new();
    loop {
        let page = who.access_requests().list_access_requests(request.clone()).await?.into_inner();
        all.extend(page.access_requests.into_iter().map(|it| it.id));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return Ok(all);
        }
    }
}

fn at(organisation: &str) -> ListAccessRequestsRequest {
    ListAccessRequestsRequest { organisation_id: organisation.to_owned(), ..Default::default() }
}

async fn whoever_reads_requests_sees_those_there_and_below(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = root_of(&stage, "ABC Holdings").await;
    let first = stage.organisation(&owner, "Child 1", &root).await;
    let second = stage.organisation(&owner, "Child 2", &root).await;
    let approver = stage.member("approver@example.com", &first, &["approver"]).await;
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    let mut asked = Vec::new();
    for organisation in [&root, &first, &second] {
        asked.push(ask(&ada, organisation, "approver").await.unwrap().id);
    }
    assert_eq!(ids(&owner, at(&root)).await.unwrap(), asked);
    assert_eq!(ids(&owner, at("")).await.unwrap(), asked);
    assert_eq!(ids(&owner, at(&first)).await.unwrap(), asked[1..2]);
    assert_eq!(ids(&approver, at("")).await.unwrap(), asked[1..2]);
    assert_eq!(reason(ids(&approver, at(&root)).await), "ORGANISATION_NOT_FOUND");
    assert_eq!(reason(ids(&approver, at(&second)).await), "ORGANISATION_NOT_FOUND");
    assert_eq!(reason(ids(&ada, at(&root)).await), "PERMISSION_MISSING");
    assert!(ids(&ada, at("")).await.unwrap().is_empty());
}

async fn support_sees_the_requests_of_all_roots(bench: Bench) {
    let stage = Stage::set(bench).await;
    let support = stage.person("support@example.com");
    stage.grant(&support, PLATFORM, &["support"]).await;
    let mut asked = Vec::new();
    for name in ["ABC Holdings", "XYZ"] {
        let (_, root) = root_of(&stage, name).await;
        let ada = stage.member("ada@example.com", &root, &["user"]).await;
        asked.push(ask(&ada, &root, "approver").await.unwrap().id);
    }
    assert_eq!(ids(&support, at("")).await.unwrap(), asked);
    // The platform is no organisation that one could name.
    assert_eq!(reason(ids(&support, at(&PLATFORM.to_string())).await), "ORGANISATION_NOT_FOUND");
}

async fn a_list_is_narrowed_and_turned_round_page_by_page(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = root_of(&stage, "ABC Holdings").await;
    let mut asked = Vec::new();
    for n in 0..5 {
        let who = stage.member(&format!("m{n}@example.com"), &root, &["user"]).await;
        asked.push(ask(&who, &root, "approver").await.unwrap().id);
    }
    // One that nobody near can decide, and one that is decided.
    let alone = ask(&owner, &root, "approver").await.unwrap().id;
    reject(&owner, &asked[1]).await.unwrap();
    let rejected = ListAccessRequestsRequest { state: 3, ..at(&root) };
    assert_eq!(ids(&owner, rejected).await.unwrap(), asked[1..2]);
    let unattended = ListAccessRequestsRequest { no_approvers: true, ..at("") };
    assert_eq!(ids(&owner, unattended).await.unwrap(), std::slice::from_ref(&alone));
    let overdue = ListAccessRequestsRequest { overdue: true, ..at("") };
    assert!(ids(&owner, overdue).await.unwrap().is_empty());
    let random = stage.service.clock.new_id().to_string();
    let for_another = ListAccessRequestsRequest { application_id: random, ..at("") };
    assert!(ids(&owner, for_another).await.unwrap().is_empty());
    let pending = ListAccessRequestsRequest {
        state: 1,
        order_by: "created_at desc".to_owned(),
        page_size: 2,
        ..at(&root)
    };
    let expected = [&alone, &asked[4], &asked[3], &asked[2], &asked[0]];
    assert_eq!(ids(&owner, pending).await.unwrap().iter().collect::<Vec<_>>(), expected);
    let wrong = ListAccessRequestsRequest {
        state: 9,
        order_by: "reason".to_owned(),
        application_id: "7".to_owned(),
        ..at("8")
    };
    assert_eq!(
        violations(ids(&owner, wrong).await),
        ["organisation_id", "state", "application_id", "order_by"]
    );
}

async fn everybody_sees_their_own_requests(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (_, root) = root_of(&stage, "ABC Holdings").await;
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    let bob = stage.member("bob@example.com", &root, &["user"]).await;
    let first = ask(&ada, &root, "approver").await.unwrap();
    let second = ask(&ada, &root, "admin").await.unwrap();
    ask(&bob, &root, "admin").await.unwrap();
    withdraw(&ada, &first.id).await.unwrap();
    let own = async |state: i32| {
        let request = ListOwnAccessRequestsRequest { state, ..Default::default() };
        let listed = ada.access_requests().list_own_access_requests(request).await.unwrap();
        listed.into_inner().access_requests.into_iter().map(|it| it.id).collect::<Vec<_>>()
    };
    assert_eq!(own(0).await, [first.id.clone(), second.id.clone()]);
    assert_eq!(own(1).await, [second.id]);
    assert_eq!(own(4).await, [first.id]);
}
