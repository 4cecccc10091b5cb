use api::organisation::v1::{AccessRequestMail::*, *};
use testkit::Bench;

use super::*;
use crate::{
    entity::organisation::PLATFORM,
    testing::{reason, violations},
};

testkit::on_both_databases!(
    a_request_goes_to_the_nearest_who_can_decide,
    whoever_could_not_grant_it_is_not_asked,
    where_nobody_can_decide_it_goes_to_the_platforms_support,
    nobody_asks_twice_or_for_what_they_have,
    only_a_member_asks_and_only_for_what_there_is,
    an_application_is_asked_for_where_the_membership_is,
    nobody_asks_for_anything_in_an_archived_organisation,
);

async fn a_request_goes_to_the_nearest_who_can_decide(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = root_of(&stage, "ABC Holdings").await;
    let child = stage.organisation(&owner, "Child 1", &root).await;
    let near = stage.member("near@example.com", &child, &["approver"]).await;
    let second = stage.member("second@example.com", &child, &["admin"]).await;
    stage.member("user@example.com", &child, &["user"]).await;
    // A membership from above lets one ask below.
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    let asked = ask(&ada, &child, "approver").await.unwrap();
    assert_eq!((asked.state(), asked.no_approvers), (AccessRequestState::Pending, false));
    assert_eq!(asked.requester_email, "ada@example.com");
    let told = mails(&stage, &[&ada, &near, &second, &owner]).await;
    let expected =
        [(Received, "ada@example.com"), (Asked, "near@example.com"), (Asked, "second@example.com")];
    assert_eq!(told, expected.map(|(mail, to)| (mail, to.to_owned())));
}

async fn whoever_could_not_grant_it_is_not_asked(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = root_of(&stage, "ABC Holdings").await;
    let child = stage.organisation(&owner, "Child 1", &root).await;
    stage.member("near@example.com", &child, &["approver"]).await;
    let ada = stage.member("ada@example.com", &child, &["user"]).await;
    ask(&ada, &child, "admin").await.unwrap();
    let told = mails(&stage, &[&ada, &owner]).await;
    let expected = [(Received, "ada@example.com".to_owned()), (Asked, owner.email.clone())];
    assert_eq!(told, expected);
}

async fn where_nobody_can_decide_it_goes_to_the_platforms_support(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = root_of(&stage, "ABC Holdings").await;
    let platform = stage.platform_owner().await;
    let support = stage.person("support@example.com");
    stage.grant(&support, PLATFORM, &["support"]).await;
    // The owner is alone, and decides on no request of their own.
    let asked = ask(&owner, &root, "approver").await.unwrap();
    assert!(asked.no_approvers);
    let told = mails(&stage, &[&platform, &support, &owner]).await;
    let asked: Vec<_> = told.iter().filter(|(mail, _)| *mail == Asked).map(|it| &it.1).collect();
    assert_eq!(asked, [&platform.email, &support.email]);
}

async fn nobody_asks_twice_or_for_what_they_have(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = root_of(&stage, "ABC Holdings").await;
    let child = stage.organisation(&owner, "Child 1", &root).await;
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    // Also what is held above is held.
    assert_eq!(reason(ask(&ada, &child, "User").await), "ALREADY_GRANTED");
    let first = ask(&ada, &root, "Approver").await.unwrap();
    let refused = ask(&ada, &root, "approver").await.unwrap_err();
    use tonic_types::StatusExt as _;
    let info = refused.get_details_error_info().unwrap();
    assert_eq!(info.reason, "ACCESS_REQUEST_PENDING");
    assert_eq!(info.metadata["access_request_id"], first.id);
    // Another role, and another organisation, are another request.
    assert_eq!(reason(ask(&ada, &root, "admin").await), "OK");
    assert_eq!(reason(ask(&ada, &child, "approver").await), "OK");
    withdraw(&ada, &first.id).await.unwrap();
    assert_eq!(reason(ask(&ada, &root, "approver").await), "OK");
}

async fn only_a_member_asks_and_only_for_what_there_is(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = root_of(&stage, "ABC Holdings").await;
    let child = stage.organisation(&owner, "Child 1", &root).await;
    let ada = stage.member("ada@example.com", &child, &["user"]).await;
    let account = stage.account("dashboard", "");
    stage.grant(&account, id(&root), &["admin"]).await;
    assert_eq!(reason(ask(&account, &root, "approver").await), "MEMBER_REQUIRED");
    assert_eq!(
        reason(ask(&stage.person("eve@example.com"), &root, "user").await),
        "ORGANISATION_NOT_FOUND"
    );
    assert_eq!(reason(ask(&ada, &root, "approver").await), "ORGANISATION_NOT_FOUND");
    assert_eq!(
        reason(ask(&stage.platform_owner().await, &PLATFORM.to_string(), "support").await),
        "ORGANISATION_NOT_FOUND"
    );
    for unknown in ["nothing", "support", "not a key"] {
        assert_eq!(violations(ask(&ada, &child, unknown).await), ["role"], "{unknown}");
    }
    let request = CreateAccessRequestRequest { reason: "x".repeat(1_001), ..for_role(&child, "") };
    let refused = ada.access_requests().create_access_request(request).await;
    assert_eq!(violations(refused), ["reason", "role"]);
}

async fn an_application_is_asked_for_where_the_membership_is(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = root_of(&stage, "ABC Holdings").await;
    let child = stage.organisation(&owner, "Child 1", &root).await;
    let (other_owner, other) = root_of(&stage, "XYZ").await;
    let (ours, theirs) =
        (application(&owner, &root).await, application(&other_owner, &other).await);
    let approver = stage.member("near@example.com", &child, &["approver"]).await;
    let ada = stage.member("ada@example.com", &child, &["user"]).await;
    let above = stage.member("above@example.com", &root, &["user"]).await;
    let wanted = |application: &str, role: &str| CreateAccessRequestRequest {
        application_id: application.to_owned(),
        ..for_role(&child, role)
    };
    let refused = ada.access_requests().create_access_request(wanted(&theirs, "")).await;
    assert_eq!(reason(refused), "APPLICATION_NOT_FOUND");
    let refused = ada.access_requests().create_access_request(wanted(&ours, "admin")).await;
    assert_eq!(violations(refused), ["role"]);
    let refused = above.access_requests().create_access_request(wanted(&ours, "")).await;
    assert_eq!(reason(refused), "MEMBER_REQUIRED");
    let asked = ada.access_requests().create_access_request(wanted(&ours, "")).await.unwrap();
    let asked = asked.into_inner().access_request.unwrap();
    assert_eq!(asked.roles, ["user"]);
    approve(&approver, &asked.id).await.unwrap();
    let request = ListApplicationAccessRequest {
        application_id: ours.clone(),
        organisation_id: child.clone(),
        ..Default::default()
    };
    let listed = owner.applications().list_application_access(request).await.unwrap().into_inner();
    assert_eq!(listed.access[0].email, "ada@example.com");
    let refused = ada.access_requests().create_access_request(wanted(&ours, "user")).await;
    assert_eq!(reason(refused), "ALREADY_GRANTED");
}

async fn application(by: &Who, organisation: &str) -> String {
    let request = CreateApplicationRequest {
        organisation_id: organisation.to_owned(),
        display_name: "Payroll".to_owned(),
        ..Default::default()
    };
    let answer = by.applications().create_application(request).await.unwrap().into_inner();
    answer.application.unwrap().id
}

async fn nobody_asks_for_anything_in_an_archived_organisation(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = root_of(&stage, "ABC Holdings").await;
    let admin = stage.member("admin@example.com", &root, &["admin"]).await;
    let user = stage.member("user@example.com", &root, &["user"]).await;
    let request = ArchiveOrganisationRequest { id: root.clone(), ..Default::default() };
    owner.organisations().archive_organisation(request).await.unwrap();
    // The admin could restore it, and so still sees it.
    assert_eq!(reason(ask(&admin, &root, "approver").await), "ORGANISATION_ARCHIVED");
    assert_eq!(reason(ask(&user, &root, "approver").await), "ORGANISATION_NOT_FOUND");
}
