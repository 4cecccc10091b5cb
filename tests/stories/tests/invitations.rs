//! An invitation's life, and what may not happen in it.

use kernel::Duration;
use serde_json::json;
use stories::{Client, PASSWORD, Platform};
use testkit::race;

stories::on_both_databases!(
    a_reissue_makes_the_earlier_link_dead,
    an_expired_link_says_so_and_a_reissue_revives_the_invitation,
    a_revoked_link_says_so_and_revoking_twice_is_once,
    accepting_twice_is_once,
    an_address_has_one_pending_invitation_to_an_organisation,
    a_member_is_not_invited_to_what_they_hold,
    t02_only_the_invitee_accepts,
    t05_fifty_submissions_of_one_link_make_one_account,
    of_accept_and_revoke_at_once_one_wins,
    two_who_invite_one_address_at_once_make_one_invitation,
    t06_nobody_offers_more_than_they_hold,
    what_one_may_not_see_answers_like_what_does_not_exist,
    every_violation_is_named_at_once_and_nothing_is_changed,
    lists_come_in_pages_and_by_state,
    t15_the_link_is_from_configuration,
);

async fn organisation(platform: &Platform) -> (Client, String) {
    let owner = platform.owner().await;
    let root = owner.create_organisation("ABC Holdings", None).await;
    (owner, root)
}

async fn reissue(client: &Client, invitation: &str) -> stories::Answer {
    let path = format!("/api/organisation-invitations/{invitation}/reissue");
    client.post(&path, &json!({})).await
}

async fn a_reissue_makes_the_earlier_link_dead(platform: Platform) {
    let (owner, root) = organisation(&platform).await;
    let invitation = owner.invite(&root, "ada@example.com", "user").await;
    let first = platform.link_mailed_to("ada@example.com").await;
    reissue(&owner, &invitation).await.expect(200);
    let second = platform.nth_link_mailed_to("ada@example.com", 2).await;
    assert_ne!(first, second);
    let visitor = platform.anonymous();
    assert_eq!(visitor.open(&first).await.0, 404);
    assert_ne!(visitor.enrol(&first, "Ada", PASSWORD).await.0, 200);
    assert_eq!(owner.state_of(&invitation).await, "pending");
    assert_eq!(visitor.enrol(&second, "Ada", PASSWORD).await.0, 200);
}

async fn an_expired_link_says_so_and_a_reissue_revives_the_invitation(platform: Platform) {
    let (owner, root) = organisation(&platform).await;
    let invitation = owner.invite(&root, "ada@example.com", "user").await;
    let link = platform.link_mailed_to("ada@example.com").await;
    platform.clock.as_ref().expect("a clock").advance(Duration::hours(48));
    // Ada hears of it before anything else happens.
    platform.nth_mail_to("ada@example.com", 2).await;
    // The owner's ten minutes are over too.
    let owner = platform.owner().await;
    let (status, page) = platform.anonymous().open(&link).await;
    assert_eq!(status, 410);
    assert!(page.contains("expired") && !page.contains("<form"), "{page}");
    assert_ne!(platform.anonymous().enrol(&link, "Ada", PASSWORD).await.0, 200);
    assert_eq!(owner.state_of(&invitation).await, "expired");
    reissue(&owner, &invitation).await.expect(200);
    let link = platform.nth_link_mailed_to("ada@example.com", 3).await;
    assert_eq!(platform.anonymous().enrol(&link, "Ada", PASSWORD).await.0, 200);
}

async fn a_revoked_link_says_so_and_revoking_twice_is_once(platform: Platform) {
    let (owner, root) = organisation(&platform).await;
    let invitation = owner.invite(&root, "ada@example.com", "user").await;
    let link = platform.link_mailed_to("ada@example.com").await;
    let revoked = owner.set_state(&invitation, "revoked").await.expect(200);
    assert_eq!(revoked["status"], "revoked");
    assert!(revoked["deleted_at"].is_string(), "{revoked}");
    assert_eq!(owner.set_state(&invitation, "revoked").await.expect(200), revoked);
    let (status, page) = platform.anonymous().open(&link).await;
    assert_eq!(status, 410);
    assert!(!page.contains("<form"), "{page}");
    assert_ne!(platform.anonymous().enrol(&link, "Ada", PASSWORD).await.0, 200);
    assert_eq!(reissue(&owner, &invitation).await.reason(), "INVITATION_REVOKED");
}

async fn accepting_twice_is_once(platform: Platform) {
    let (owner, root) = organisation(&platform).await;
    platform.member(&owner, &root, "ada@example.com", "user").await;
    let child = owner.create_organisation("Child", Some(&root)).await;
    let ada = platform.anonymous().sign_in("ada@example.com", PASSWORD).await;
    let invitation = owner.invite(&child, "ada@example.com", "admin").await;
    let first = ada.set_state(&invitation, "accepted").await.expect(200);
    assert_eq!(first["status"], "accepted");
    assert_eq!(ada.set_state(&invitation, "accepted").await.expect(200), first);
    assert_eq!(owner.set_state(&invitation, "revoked").await.reason(), "INVITATION_ACCEPTED");
    let members = owner.get(&format!("/api/organisations/{child}/members")).await.expect(200);
    assert_eq!(members["members"].as_array().expect("members").len(), 1);
}

async fn an_address_has_one_pending_invitation_to_an_organisation(platform: Platform) {
    let (owner, root) = organisation(&platform).await;
    let invitation = owner.invite(&root, "ada@b\u{fc}cher.example", "user").await;
    let again = owner.try_invite(&root, "ADA@xn--bcher-kva.EXAMPLE", "admin").await;
    assert_eq!((again.status, again.reason()), (409, "INVITATION_PENDING"));
    owner.set_state(&invitation, "revoked").await.expect(200);
    owner.invite(&root, "ada@b\u{fc}cher.example", "admin").await;
}

async fn a_member_is_not_invited_to_what_they_hold(platform: Platform) {
    let (owner, root) = organisation(&platform).await;
    platform.member(&owner, &root, "ada@example.com", "user").await;
    let again = owner.try_invite(&root, "ada@example.com", "user").await;
    assert_eq!((again.status, again.reason()), (409, "ALREADY_MEMBER"));
    let more = owner.invite(&root, "ada@example.com", "admin").await;
    let ada = platform.anonymous().sign_in("ada@example.com", PASSWORD).await;
    ada.set_state(&more, "accepted").await.expect(200);
    let members = owner.get(&format!("/api/organisations/{root}/members")).await.expect(200);
    let text = members.to_string();
    assert!(text.contains("\"admin\"") && text.contains("\"user\""), "nothing was lost: {text}");
}

async fn t02_only_the_invitee_accepts(platform: Platform) {
    let (owner, root) = organisation(&platform).await;
    let other = owner.create_organisation("XYZ", None).await;
    let bob = platform.member(&owner, &other, "bob@example.com", "admin").await;
    let invitation = owner.invite(&root, "ada@example.com", "admin").await;
    let link = platform.link_mailed_to("ada@example.com").await;

    let as_bob = bob.set_state(&invitation, "accepted").await;
    let unknown = bob.set_state("00000000-0000-7000-8000-000000000000", "accepted").await;
    assert_eq!(as_bob, unknown);
    assert_eq!(as_bob.status, 404);
    assert_eq!(owner.set_state(&invitation, "accepted").await.reason(), "INVITEE_REQUIRED");
    // The link makes Ada's account whoever submits it, not Bob's membership.
    platform.anonymous().submit(&format!("{link}/accept"), &[("password", PASSWORD)]).await;
    assert!(!platform.allows(&bob, &root, "organisations.read").await);
    assert_eq!(owner.state_of(&invitation).await, "pending");
}

async fn t05_fifty_submissions_of_one_link_make_one_account(platform: Platform) {
    use api::identity::v1::{EnrolUserRequest, user_service_client::UserServiceClient};
    let (owner, root) = organisation(&platform).await;
    owner.invite(&root, "ada@example.com", "user").await;
    let link = platform.link_mailed_to("ada@example.com").await;
    let link_token = link.rsplit_once('/').expect("a token").1.to_owned();
    let channel = platform.identity();
    let answers = race(50, |index| {
        let mut users = UserServiceClient::new(channel.clone());
        let request = EnrolUserRequest {
            link_token: link_token.clone(),
            display_name: format!("Ada {index}"),
            password: format!("{PASSWORD} {index}"),
        };
        async move { users.enrol_user(request).await.map_err(|status| status.message().to_owned()) }
    })
    .await;
    let enrolled = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(enrolled, 1, "{answers:?}");
    let winner = answers.iter().position(Result::is_ok).expect("a winner");
    let visitor = platform.anonymous();
    visitor.sign_in("ada@example.com", &format!("{PASSWORD} {winner}")).await;
    let loser = format!("{PASSWORD} {}", (winner + 1) % 50);
    assert_eq!(visitor.try_sign_in("ada@example.com", &loser).await.status, 401);
}

async fn of_accept_and_revoke_at_once_one_wins(platform: Platform) {
    let (owner, root) = organisation(&platform).await;
    let ada = platform.member(&owner, &root, "ada@example.com", "user").await;
    for round in 0..15 {
        let child = owner.create_organisation(&format!("Child {round}"), Some(&root)).await;
        let invitation = owner.invite(&child, "ada@example.com", "admin").await;
        let (accepted, revoked) = tokio::join!(
            ada.set_state(&invitation, "accepted"),
            owner.set_state(&invitation, "revoked"),
        );
        let is_member = platform.allows(&ada, &child, "invitations.create").await;
        let state = owner.state_of(&invitation).await;
        match state.as_str() {
            "accepted" => assert!(is_member && accepted.status == 200 && revoked.status == 409),
            "revoked" => assert!(!is_member && accepted.status == 409 && revoked.status == 200),
            other => panic!("the invitation is {other}"),
        }
    }
}

async fn two_who_invite_one_address_at_once_make_one_invitation(platform: Platform) {
    let (owner, root) = organisation(&platform).await;
    for round in 0..20 {
        let email = format!("ada{round}@example.com");
        let answers = race(4, |_| {
            let (owner, root, email) = (owner.clone(), root.clone(), email.clone());
            async move { owner.try_invite(&root, &email, "user").await }
        })
        .await;
        let created = answers.iter().filter(|answer| answer.status == 201).count();
        let refused = answers.iter().filter(|answer| answer.reason() == "INVITATION_PENDING");
        assert_eq!((created, refused.count()), (1, 3), "{answers:?}");
    }
}

async fn t06_nobody_offers_more_than_they_hold(platform: Platform) {
    let (owner, root) = organisation(&platform).await;
    let admin = platform.member(&owner, &root, "ada@example.com", "admin").await;
    let user = platform.member(&owner, &root, "bob@example.com", "user").await;
    let above = admin.try_invite(&root, "eve@example.com", "owner").await;
    assert_eq!((above.status, above.reason()), (403, "GRANT_CEILING_EXCEEDED"));
    let lacking = user.try_invite(&root, "eve@example.com", "user").await;
    assert_eq!((lacking.status, lacking.reason()), (403, "PERMISSION_MISSING"));
    admin.invite(&root, "eve@example.com", "admin").await;
    // A reissue is an offer too.
    let offered = owner.invite(&root, "zoe@example.com", "owner").await;
    assert_eq!(reissue(&admin, &offered).await.reason(), "GRANT_CEILING_EXCEEDED");
}

async fn what_one_may_not_see_answers_like_what_does_not_exist(platform: Platform) {
    let (owner, root) = organisation(&platform).await;
    let child = owner.create_organisation("Child 1", Some(&root)).await;
    let sibling = owner.create_organisation("Child 2", Some(&root)).await;
    let hidden = owner.invite(&sibling, "zoe@example.com", "user").await;
    // Scenario B of source 002: an admin of the child sees the child alone.
    let ada = platform.member(&owner, &child, "ada@example.com", "admin").await;
    let unknown = "00000000-0000-7000-8000-000000000000";
    for there in [&root, &sibling] {
        for path in ["", "/members"] {
            let forbidden = ada.get(&format!("/api/organisations/{there}{path}")).await;
            let missing = ada.get(&format!("/api/organisations/{unknown}{path}")).await;
            assert_eq!((forbidden.status, &forbidden), (404, &missing));
        }
        let list = "/api/organisation-invitations?organisation_id=";
        assert_eq!(
            ada.get(&format!("{list}{there}")).await,
            ada.get(&format!("{list}{unknown}")).await
        );
        let forbidden = ada.try_invite(there, "eve@example.com", "user").await;
        assert_eq!(forbidden, ada.try_invite(unknown, "eve@example.com", "user").await);
        assert_eq!(forbidden.status, 404);
        let children = "/api/organisations?parent_id=";
        let forbidden = ada.get(&format!("{children}{there}")).await;
        assert_eq!(forbidden, ada.get(&format!("{children}{unknown}")).await);
    }
    let invitations = "/api/organisation-invitations/";
    let forbidden = ada.get(&format!("{invitations}{hidden}")).await;
    assert_eq!(forbidden, ada.get(&format!("{invitations}{unknown}")).await);
    assert_eq!(ada.set_state(&hidden, "revoked").await, ada.set_state(unknown, "revoked").await);
    let seen = ada.get("/api/organisations").await.expect(200);
    let seen = seen["organisations"].as_array().expect("a list");
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0]["id"], json!(child));
    assert!(!seen[0].to_string().contains(&root), "the parent's id is not shown: {}", seen[0]);
    // Scenario A: whoever is at the root reaches everything below.
    let cleo = platform.member(&owner, &root, "cleo@example.com", "admin").await;
    cleo.invite(&root, "eve@example.com", "user").await;
    cleo.invite(&child, "eve@example.com", "user").await;
}

async fn every_violation_is_named_at_once_and_nothing_is_changed(platform: Platform) {
    let (owner, root) = organisation(&platform).await;
    let bad = owner.try_invite(&root, "no address\r\nBcc: eve@example.com", "emperor").await;
    assert_eq!(bad.status, 400);
    let fields: Vec<_> = bad.body["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|it| it["field"].clone())
        .collect();
    assert!(fields.contains(&json!("email")), "{fields:?}");
    assert!(
        fields.iter().any(|it| it.as_str().is_some_and(|it| it.starts_with("role"))),
        "{fields:?}"
    );
    for (path, body) in [
        ("/api/organisations", "{\"display_name\": "),
        ("/api/organisations", "{\"display_name\": 7}"),
        ("/api/organisations", "[]"),
        ("/api/organisations", "{\"display_name\": \"a\\u0000b\"}"),
        ("/api/sessions", "{\"email\": \"ada@example.com\"}"),
        ("/api/sessions", "\u{fffd}"),
    ] {
        let answer = owner.post_raw(path, body).await;
        assert!((400..500).contains(&answer.status), "{path} {body}: {answer:?}");
    }
    let long = format!("{{\"display_name\": \"{}\"}}", "x".repeat(70_000));
    assert_eq!(owner.post_raw("/api/organisations", &long).await.status, 413);
    for path in [
        "/api/organisations/7",
        "/api/organisations?page_size=1000",
        "/api/organisations?page_token=rubbish",
        "/api/organisation-invitations/%00",
        "/api/organisation-invitations?organisation_id=7&status=lost",
    ] {
        let answer = owner.get(path).await;
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
    }
    let path = format!("/api/organisation-invitations?organisation_id={root}");
    let list = owner.get(&path).await.expect(200);
    assert_eq!(list.to_string().matches("\"id\"").count(), 0, "nothing was created: {list}");
}

async fn lists_come_in_pages_and_by_state(platform: Platform) {
    let (owner, root) = organisation(&platform).await;
    let mut invited = Vec::new();
    for index in 0..5 {
        invited.push(owner.invite(&root, &format!("ada{index}@example.com"), "user").await);
    }
    owner.set_state(&invited[1], "revoked").await.expect(200);
    let path = format!("/api/organisation-invitations?organisation_id={root}&page_size=2");
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = owner.get(&format!("{path}&page_token={token}")).await.expect(200);
        let rows = page.as_object().expect("a page").values().find_map(|it| it.as_array());
        seen.extend(
            rows.expect("rows").iter().map(|it| it["id"].as_str().expect("an id").to_owned()),
        );
        token = page["next_page_token"].as_str().expect("a token").to_owned();
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, invited);
    let revoked = owner.get(&format!("{path}&status=revoked")).await.expect(200).to_string();
    assert!(revoked.contains(&invited[1]) && !revoked.contains(&invited[0]), "{revoked}");
}

async fn t15_the_link_is_from_configuration(platform: Platform) {
    let (owner, root) = organisation(&platform).await;
    let request = reqwest::Client::new()
        .post(format!("{}/api/organisation-invitations?organisation_id={root}", platform.http))
        .header("host", "evil.example")
        .header("x-forwarded-host", "evil.example")
        .header("forwarded", "host=evil.example")
        .bearer_auth(owner.token())
        .json(&json!({ "email": "ada@example.com", "role": "user" }));
    assert_eq!(request.send().await.expect("an answer").status(), 201);
    let link = platform.link_mailed_to("ada@example.com").await;
    assert!(link.starts_with(&platform.http), "{link}");
}
