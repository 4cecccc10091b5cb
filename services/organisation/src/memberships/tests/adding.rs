use api::{identity::v1::UserStatus, organisation::v1::*};
use kernel::{Duration, Uuid};
use testkit::Bench;

use super::*;
use crate::testing::{Stage, reason, violations};

testkit::on_both_databases!(
    whoever_is_added_is_a_member_at_once,
    every_wrong_field_is_named,
    who_cannot_be_added_is_told_apart,
    an_offer_that_adds_nothing_is_settled,
    support_is_given_at_the_platform,
    a_repeated_addition_is_one,
    an_addition_and_an_acceptance_at_once_make_one_member,
);

async fn whoever_is_added_is_a_member_at_once(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    let child = stage.organisation(&owner, "Child", &root).await;
    let ada = stage.person("ada@example.com");
    let added = create(&owner, &child, &ada, &[]).await.unwrap();
    assert_eq!(
        (added.email.as_str(), added.display_name.as_str(), added.roles, added.etag.as_str()),
        ("ada@example.com", "ada", keys(&["user"]), "v1")
    );
    assert!(stage.allows(&ada, &child, "organisations.read").await);
    assert!(!stage.allows(&ada, &root, "organisations.read").await);
    let robot = stage.account("robot", "");
    let added = create(&owner, &child, &robot, &["admin"]).await.unwrap();
    assert!(added.is_service_account);
    assert_eq!((added.email.as_str(), added.display_name.as_str()), ("", "robot"));
}

async fn every_wrong_field_is_named(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    let at = |time| Some(api::timestamp(time));
    let wrong = CreateMembershipRequest {
        organisation_id: root.clone(),
        user_id: "nobody".to_owned(),
        roles: keys(&["user", "unheard-of"]),
        valid_from: at(stage.now()),
        request_id: "7".to_owned(),
        ..Default::default()
    };
    let answer = owner.memberships().create_membership(wrong.clone()).await;
    let named = ["user_id", "valid_from", "roles[1]", "request_id"];
    assert_eq!(violations(answer), named);
    let backwards = CreateMembershipRequest {
        user_id: owner.id.to_string(),
        roles: Vec::new(),
        valid_from: at(stage.now() + Duration::days(2)),
        expires_at: at(stage.now() + Duration::days(1)),
        request_id: String::new(),
        ..wrong
    };
    let answer = owner.memberships().create_membership(backwards).await;
    assert_eq!(violations(answer), ["expires_at"]);
}

async fn who_cannot_be_added_is_told_apart(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    let ada = stage.member("ada@example.com", &root, &["admin"]).await;
    let eve = stage.person("eve@example.com");
    let mut nobody = eve.clone();
    nobody.id = Uuid::from_u128(7);
    assert_eq!(reason(create(&owner, &root, &nobody, &[]).await), "USER_NOT_FOUND");
    // Another role does not make it another membership.
    assert_eq!(reason(create(&owner, &root, &ada, &["user"]).await), "ALREADY_MEMBER");
    assert_eq!(get(&owner, &root, &ada).await.unwrap().roles, ["admin"]);
    let above = reason(create(&ada, &root, &eve, &["owner"]).await);
    assert_eq!(above, "GRANT_CEILING_EXCEEDED");
    let robot = stage.account("robot", "");
    create(&owner, &root, &robot, &["admin"]).await.unwrap();
    let answer = create(&robot, &root, &eve, &["approver"]).await;
    assert_eq!(reason(answer), "ROLE_NOT_INVITABLE");
    assert_eq!(reason(create(&eve, &root, &ada, &[]).await), "ORGANISATION_NOT_FOUND");
    for status in [UserStatus::Invited, UserStatus::Suspended, UserStatus::Disposed] {
        stage.account_is(&eve, status);
        assert_eq!(reason(create(&owner, &root, &eve, &[]).await), "ACCOUNT_UNUSABLE");
    }
}

async fn an_offer_that_adds_nothing_is_settled(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    for (address, offered, state) in [
        ("ada@example.com", &["user"][..], InvitationState::Accepted),
        ("eve@example.com", &["admin", "user"][..], InvitationState::Pending),
    ] {
        let request = CreateInvitationRequest {
            organisation_id: root.clone(),
            email: address.to_owned(),
            roles: keys(offered),
            ..Default::default()
        };
        let answer = owner.invitations().create_invitation(request).await.unwrap();
        let id = answer.into_inner().invitation.unwrap().id;
        create(&owner, &root, &stage.person(address), &["user"]).await.unwrap();
        let answer = owner.invitations().get_invitation(GetInvitationRequest { id }).await;
        assert_eq!(answer.unwrap().into_inner().invitation.unwrap().state(), state, "{address}");
    }
}

async fn support_is_given_at_the_platform(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    let platform = stage.platform_owner().await;
    let top = Uuid::nil().to_string();
    let ada = stage.person("ada@example.com");
    assert_eq!(reason(create(&owner, &top, &ada, &["support"]).await), "ORGANISATION_NOT_FOUND");
    // Nor is it a role of an organisation.
    let answer = create(&owner, &root, &ada, &["support"]).await;
    assert_eq!(violations(answer), ["roles[0]"]);
    create(&platform, &top, &ada, &["support"]).await.unwrap();
    assert!(stage.allows(&ada, &root, "requests.decide").await);
    remove(&platform, &top, &ada).await.unwrap();
    assert!(!stage.allows(&ada, &root, "requests.decide").await);
}

async fn a_repeated_addition_is_one(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    let request = CreateMembershipRequest {
        organisation_id: root.clone(),
        user_id: stage.person("ada@example.com").id.to_string(),
        request_id: Uuid::from_u128(1).to_string(),
        ..Default::default()
    };
    let answers = testkit::race(20, |_| {
        let (owner, request) = (owner.clone(), request.clone());
        async move { owner.memberships().create_membership(request).await.unwrap().into_inner() }
    });
    let answers = answers.await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    let again = CreateMembershipRequest { request_id: String::new(), ..request };
    let answer = owner.memberships().create_membership(again).await;
    assert_eq!(reason(answer), "ALREADY_MEMBER");
}

async fn an_addition_and_an_acceptance_at_once_make_one_member(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    for round in 0..200 {
        let ada = stage.person(&format!("ada{round}@example.com"));
        let id = stage.invite(&owner, &root, &ada.email).await;
        let answers = testkit::race(2, |index| {
            let (owner, ada) = (owner.clone(), ada.clone());
            let (root, id) = (root.clone(), id.clone());
            async move {
                if index == 0 {
                    return reason(create(&owner, &root, &ada, &["user"]).await);
                }
                let request = AcceptInvitationRequest { id, ..Default::default() };
                reason(ada.invitations().accept_invitation(request).await)
            }
        });
        let answers = answers.await;
        assert!(["OK", "ALREADY_MEMBER"].contains(&answers[0].as_str()), "{round}: {answers:?}");
        assert_eq!(answers[1], "OK", "round {round}");
        let request = GetInvitationRequest { id };
        let offered = owner.invitations().get_invitation(request).await.unwrap().into_inner();
        assert_eq!(offered.invitation.unwrap().state(), InvitationState::Accepted);
        assert_eq!(get(&owner, &root, &ada).await.unwrap().roles, ["user"]);
    }
}
