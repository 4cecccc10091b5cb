use api::organisation::v1::{InspectInvitationLinkRequest, Invitation, InvitationState};
use kernel::{Duration, Sealed};
use testkit::Bench;

use crate::{
    invitations::tests::{
        Heard, accept, application, get, invite, invite_with, membership_of, revoke, update,
    },
    testing::{Stage, reason, violations},
};

testkit::on_both_databases!(
    what_the_mask_names_is_changed_and_nothing_else,
    the_link_stays_valid_and_no_mail_goes_out,
    every_wrong_field_is_named_at_once_and_the_address_stays,
    t06_nobody_edits_what_they_could_not_offer,
    only_what_waits_is_changed,
    a_stale_etag_is_refused,
    t10_an_invitation_of_another_organisation_is_not_found,
);

async fn what_the_mask_names_is_changed_and_nothing_else(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let admin = stage.member("admin@example.com", &root, &["admin"]).await;
    let shop = application(&stage, &root, "Shop", false).await;
    let before = invite_with(&owner, &root, "ada@example.com", |request| {
        request.first_name = "Ada".to_owned();
        request.last_name = "Byron".to_owned();
        request.institution = "Home".to_owned();
    });
    let before = before.await.unwrap();
    stage.pass(Duration::minutes(1));
    let until = api::timestamp(stage.now() + Duration::days(90));
    let wanted = Invitation {
        id: before.id.clone(),
        etag: before.etag.clone(),
        roles: vec!["approver".to_owned()],
        last_name: "Lovelace".to_owned(),
        application_id: shop.clone(),
        callback_url: "https://shop.example.com/".to_owned(),
        personal_message: "Hello".to_owned(),
        expires_at: Some(until),
        institution: "not in the mask".to_owned(),
        ..Default::default()
    };
    let mask =
        ["roles", "last_name", "application_id", "callback_url", "personal_message", "expires_at"];
    let heard = Heard::listen(&stage);
    let after = update(&admin, wanted, &mask).await.unwrap();
    let expected = Invitation {
        roles: vec!["approver".to_owned()],
        display_name: "Ada Lovelace".to_owned(),
        last_name: "Lovelace".to_owned(),
        application_id: shop,
        callback_url: "https://shop.example.com/".to_owned(),
        personal_message: "Hello".to_owned(),
        expires_at: Some(until),
        inviter_id: admin.id.to_string(),
        updated_at: Some(api::timestamp(stage.now())),
        etag: "v2".to_owned(),
        ..before.clone()
    };
    assert_eq!(after, expected);
    assert_eq!(get(&owner, &before.id).await, expected);
    assert_eq!(heard.count(&stage, "organisation.invitation.updated.v1").await, 1);
    let ada = stage.person("ada@example.com");
    accept(&ada, &before.id).await.unwrap();
    assert_eq!(membership_of(&stage, &ada, &root).await.unwrap().1, ["approver"]);
}

async fn the_link_stays_valid_and_no_mail_goes_out(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let before = invite(&owner, &root, "ada@example.com", &["user"]).await.unwrap();
    let id = before.id.parse().unwrap();
    let link_token = stage.service.link_key.seal(Sealed { id, generation: before.issue });
    let wanted = Invitation { first_name: "Ada".to_owned(), ..before };
    let after = update(&owner, wanted, &["first_name"]).await.unwrap();
    assert_eq!(after.issue, 1);
    let request = InspectInvitationLinkRequest { link_token };
    let seen = owner.invitations().inspect_invitation_link(request).await.unwrap().into_inner();
    assert_eq!(seen.invitation, Some(after));
}

async fn every_wrong_field_is_named_at_once_and_the_address_stays(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let before = invite(&owner, &root, "ada@example.com", &["user"]).await.unwrap();
    let wanted = Invitation {
        roles: vec!["emperor".to_owned()],
        email: "eve@example.com".to_owned(),
        locale: "!".to_owned(),
        expires_at: Some(api::timestamp(stage.now() + Duration::minutes(59))),
        membership_expires_at: Some(api::timestamp(stage.now() - Duration::minutes(1))),
        ..before.clone()
    };
    let mask = ["roles", "email", "locale", "expires_at", "membership_expires_at", "state"];
    let mut named = violations(update(&owner, wanted.clone(), &mask).await);
    named.sort();
    let expected = [
        "invitation.email",
        "invitation.expires_at",
        "invitation.locale",
        "invitation.membership_expires_at",
        "invitation.roles[0]",
        "update_mask",
    ];
    assert_eq!(named, expected);
    assert_eq!(violations(update(&owner, wanted, &[]).await), ["update_mask"]);
    assert_eq!(get(&owner, &before.id).await, before);
}

async fn t06_nobody_edits_what_they_could_not_offer(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let admin = stage.member("admin@example.com", &root, &["admin"]).await;
    let user = stage.member("user@example.com", &root, &["user"]).await;
    let approver = stage.member("approver@example.com", &root, &["approver"]).await;
    let robot = stage.account("robot", "");
    stage.grant(&robot, root.parse().unwrap(), &["owner"]).await;
    let low = invite(&owner, &root, "ada@example.com", &["user"]).await.unwrap();
    let high = invite(&owner, &root, "bob@example.com", &["owner"]).await.unwrap();
    let with = |before: &Invitation, role: &str| Invitation {
        roles: vec![role.to_owned()],
        ..before.clone()
    };
    for (by, wanted, refusal) in [
        (&admin, with(&low, "owner"), "GRANT_CEILING_EXCEEDED"),
        (&admin, with(&high, "user"), "GRANT_CEILING_EXCEEDED"),
        (&robot, with(&low, "approver"), "ROLE_NOT_INVITABLE"),
        (&robot, with(&high, "user"), "ROLE_NOT_INVITABLE"),
        (&approver, with(&low, "approver"), "PERMISSION_MISSING"),
        (&user, with(&low, "user"), "INVITATION_NOT_FOUND"),
    ] {
        assert_eq!(reason(update(by, wanted, &["roles"]).await), refusal);
    }
    assert_eq!(get(&owner, &low.id).await, low);
    assert_eq!(get(&owner, &high.id).await, high);
}

async fn only_what_waits_is_changed(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let first = invite(&owner, &root, "ada@example.com", &["user"]).await.unwrap();
    accept(&stage.person("ada@example.com"), &first.id).await.unwrap();
    let second = invite(&owner, &root, "bob@example.com", &["user"]).await.unwrap();
    revoke(&owner, &second.id).await.unwrap();
    let third = invite(&owner, &root, "cyd@example.com", &["user"]).await.unwrap();
    stage.pass(Duration::hours(48));
    let owner = stage.person(&owner.email);
    for (mut wanted, refusal) in [
        (first, "INVITATION_ACCEPTED"),
        (second, "INVITATION_REVOKED"),
        (third, "INVITATION_EXPIRED"),
    ] {
        wanted.etag = String::new();
        let until = api::timestamp(stage.now() + Duration::days(1));
        wanted.expires_at = Some(until);
        assert_eq!(reason(update(&owner, wanted.clone(), &["expires_at"]).await), refusal);
        assert_ne!(get(&owner, &wanted.id).await.state(), InvitationState::Pending);
    }
}

async fn a_stale_etag_is_refused(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let before = invite(&owner, &root, "ada@example.com", &["user"]).await.unwrap();
    let named = |name: &str| Invitation { first_name: name.to_owned(), ..before.clone() };
    let after = update(&owner, named("Ada"), &["first_name"]).await.unwrap();
    let again = update(&owner, named("Eve"), &["first_name"]).await;
    assert_eq!(reason(again), "ETAG_MISMATCH");
    let unconditional = Invitation { etag: String::new(), ..named("Zoe") };
    let last = update(&owner, unconditional, &["first_name"]).await.unwrap();
    assert_ne!(last.etag, after.etag);
}

async fn t10_an_invitation_of_another_organisation_is_not_found(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let (other, _) = stage.root("XYZ").await;
    let before = invite(&owner, &root, "ada@example.com", &["user"]).await.unwrap();
    let unknown =
        Invitation { id: "00000000-0000-7000-8000-000000000000".to_owned(), ..before.clone() };
    for wanted in [before, unknown] {
        let answer = update(&other, wanted, &["first_name"]).await;
        assert_eq!(reason(answer), "INVITATION_NOT_FOUND");
    }
}
