use api::organisation::v1::{CreateInvitationRequest, Invitation};
use kernel::Duration;
use testkit::{Bench, race};

use crate::{
    entity::organisation::ExistingAccount,
    invitations::tests::{
        accept, application, good, invite, invite_with, policy, refuse_accounts, revoke,
    },
    testing::{Stage, reason, violations},
};

testkit::on_both_databases!(
    source_004_an_invitation_says_who_where_and_what_for,
    every_wrong_field_is_named_at_once_and_unknown_names_with_them,
    what_one_may_not_invite_into_is_hidden_whatever_else_is_wrong,
    source_000_a_service_account_invites_end_users_and_never_approvers,
    without_a_role_the_default_of_the_nearest_organisation_is_offered,
    source_004_an_application_needs_a_redirect_url,
    a_callback_goes_to_a_registered_host_alone,
    t07_an_address_of_another_domain_is_not_invited,
    source_004_an_account_is_refused_where_the_policy_says_so,
    what_a_failed_attempt_left_behind_is_invited_all_the_same,
    a_repeated_request_is_one_invitation,
    of_many_who_invite_one_address_at_once_one_does,
    whoever_has_left_by_time_is_invited_again,
);

async fn source_004_an_invitation_says_who_where_and_what_for(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let shop = application(&stage, &root, "Shop", false).await;
    let (from, until) = (stage.now() + Duration::days(1), stage.now() + Duration::days(30));
    let seen = invite_with(&owner, &root, "Ada@Example.com", |request| {
        request.roles = vec!["user".to_owned()];
        request.first_name = "Ada".to_owned();
        request.last_name = "Lovelace".to_owned();
        request.institution = "Analytical Engines".to_owned();
        request.application_id = shop.clone();
        request.locale = "de-AT".to_owned();
        request.personal_message = "Dear Ada,\r\nwelcome!".to_owned();
        request.membership_valid_from = Some(api::timestamp(from));
        request.membership_expires_at = Some(api::timestamp(until));
        request.life = Some(prost_types::Duration { seconds: 14 * 86_400, nanos: 0 });
        request.source_id = "order 66/\u{e9}".to_owned();
        request.callback_url = "https://shop.example.com/hooks?x=1".to_owned();
    });
    let seen = seen.await.unwrap();
    let expected = Invitation {
        organisation_id: root,
        email: "ada@example.com".to_owned(),
        display_name: "Ada Lovelace".to_owned(),
        roles: vec!["user".to_owned()],
        first_name: "Ada".to_owned(),
        last_name: "Lovelace".to_owned(),
        institution: "Analytical Engines".to_owned(),
        application_id: shop,
        locale: "de-AT".to_owned(),
        personal_message: "Dear Ada,\nwelcome!".to_owned(),
        membership_valid_from: Some(api::timestamp(from)),
        membership_expires_at: Some(api::timestamp(until)),
        source_id: "order 66/\u{e9}".to_owned(),
        callback_url: "https://shop.example.com/hooks?x=1".to_owned(),
        ..seen.clone()
    };
    assert_eq!(seen, expected);
    let life = api::time(&seen.expires_at.unwrap()).unwrap() - stage.now();
    assert_eq!(life, Duration::days(14));
}

async fn every_wrong_field_is_named_at_once_and_unknown_names_with_them(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let moment = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let wrong = CreateInvitationRequest {
        organisation_id: root,
        email: "nobody".to_owned(),
        display_name: "a\u{202e}b".to_owned(),
        roles: vec!["emperor".to_owned()],
        locale: "!".to_owned(),
        first_name: "a\nb".to_owned(),
        last_name: "x".repeat(201),
        institution: "x".repeat(201),
        application_id: "00000000-0000-7000-8000-000000000000".to_owned(),
        personal_message: "x".repeat(1_001),
        membership_valid_from: moment(i64::MAX),
        membership_expires_at: moment(0),
        life: Some(prost_types::Duration { seconds: 3_599, nanos: 0 }),
        source_id: "x".repeat(201),
        callback_url: "http://shop.example.com/".to_owned(),
        request_id: "7".to_owned(),
    };
    let mut named = violations(owner.invitations().create_invitation(wrong).await);
    named.sort();
    let mut all = [
        "application_id",
        "callback_url",
        "display_name",
        "email",
        "first_name",
        "institution",
        "last_name",
        "life",
        "locale",
        "membership_expires_at",
        "membership_valid_from",
        "personal_message",
        "request_id",
        "roles[0]",
        "source_id",
    ];
    all.sort_unstable();
    assert_eq!(named, all);
}

async fn what_one_may_not_invite_into_is_hidden_whatever_else_is_wrong(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (_, root) = stage.root("ABC Holdings").await;
    let eve = stage.person("eve@example.com");
    let unknown = "00000000-0000-7000-8000-000000000000";
    for organisation in [&root, unknown] {
        let answer = invite(&eve, organisation, "nobody", &["emperor"]).await;
        assert_eq!(reason(answer), "ORGANISATION_NOT_FOUND");
    }
    let platform = stage.platform_owner().await;
    let nil = kernel::Uuid::nil().to_string();
    let answer = invite(&platform, &nil, "ada@example.com", &["user"]).await;
    assert_eq!(reason(answer), "ORGANISATION_NOT_FOUND");
}

/// "DSI only assigns an ‘end-user’ role via public API - security protocol."
async fn source_000_a_service_account_invites_end_users_and_never_approvers(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (_, school) = stage.root("School").await;
    let experience = stage.account("manage-school", "");
    stage.grant(&experience, school.parse().unwrap(), &["owner"]).await;
    for role in ["approver", "Approver", "admin", "owner"] {
        let answer = invite(&experience, &school, "ada@example.com", &[role]).await;
        assert_eq!(reason(answer), "ROLE_NOT_INVITABLE", "{role}");
    }
    let both = invite(&experience, &school, "ada@example.com", &["user", "approver"]).await;
    assert_eq!(reason(both), "ROLE_NOT_INVITABLE");
    let invited = invite(&experience, &school, "ada@example.com", &[]).await.unwrap();
    assert_eq!(invited.roles, ["user"]);
    // Not by way of a default role either.
    policy(&stage, &school, |row| row.default_role = "approver".to_owned()).await;
    let answer = invite(&experience, &school, "bob@example.com", &[]).await;
    assert_eq!(reason(answer), "ROLE_NOT_INVITABLE");
}

async fn without_a_role_the_default_of_the_nearest_organisation_is_offered(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let child = stage.organisation(&owner, "Child", &root).await;
    policy(&stage, &root, |row| row.default_role = "approver".to_owned()).await;
    let invited = invite(&owner, &child, "ada@example.com", &[]).await.unwrap();
    assert_eq!(invited.roles, ["approver"]);
    policy(&stage, &child, |row| row.default_role = "admin".to_owned()).await;
    let invited = invite(&owner, &child, "bob@example.com", &[]).await.unwrap();
    assert_eq!(invited.roles, ["admin"]);
}

/// "There needs to be a configured redirect url for the respective application id."
async fn source_004_an_application_needs_a_redirect_url(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let child = stage.organisation(&owner, "Child", &root).await;
    let (_, xyz) = stage.root("XYZ").await;
    let shop = application(&stage, &root, "Shop", false).await;
    let foreign = application(&stage, &xyz, "Foreign", false).await;
    let try_invite = async |organisation: &str, email: &str, application: &str| {
        invite_with(&owner, organisation, email, |request| {
            request.application_id = application.to_owned();
        })
        .await
    };
    try_invite(&child, "ada@example.com", &shop).await.unwrap();
    let answer = try_invite(&root, "bob@example.com", &foreign).await;
    assert_eq!(violations(answer), ["application_id"]);
    use crate::entity::application::{Column, Entity};
    use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, sea_query::Expr};
    let id: kernel::Uuid = shop.parse().unwrap();
    let silent = Entity::update_many().col_expr(Column::RedirectUrls, Expr::value(""));
    let silent = silent.filter(Column::Id.eq(id)).exec(stage.service.database.read());
    assert_eq!(silent.await.unwrap().rows_affected, 1);
    let answer = try_invite(&root, "bob@example.com", &shop).await;
    assert_eq!(reason(answer), "APPLICATION_WITHOUT_REDIRECT");
}

async fn a_callback_goes_to_a_registered_host_alone(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let shop = application(&stage, &root, "Shop", false).await;
    let try_invite = async |email: &str, application: &str, url: &str| {
        invite_with(&owner, &root, email, |request| {
            request.application_id = application.to_owned();
            request.callback_url = url.to_owned();
        })
        .await
    };
    for url in [
        "https://evil.example/",
        "https://shop.example.com.evil.example/",
        "https://x.shop.example.com/",
        "https://shop.example.com:8443/",
        "http://127.0.0.1/",
    ] {
        let answer = try_invite("ada@example.com", &shop, url).await;
        assert_eq!(reason(answer), "CALLBACK_NOT_REGISTERED", "{url}");
    }
    let answer = try_invite("ada@example.com", "", "https://shop.example.com/").await;
    assert_eq!(violations(answer), ["application_id"]);
    try_invite("ada@example.com", &shop, "https://SHOP.example.com:443/").await.unwrap();
}

async fn t07_an_address_of_another_domain_is_not_invited(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let child = stage.organisation(&owner, "Child", &root).await;
    policy(&stage, &root, |row| row.allowed_domains = "a.example b.example".to_owned()).await;
    policy(&stage, &child, |row| row.allowed_domains = "b.example c.example".to_owned()).await;
    for email in ["ada@a.example", "ada@c.example", "ada@x.b.example", "b.example@d.example"] {
        let answer = invite(&owner, &child, email, &["user"]).await;
        assert_eq!(reason(answer), "DOMAIN_NOT_ALLOWED", "{email}");
    }
    invite(&owner, &child, "ADA@B.Example", &["user"]).await.unwrap();
    invite(&owner, &root, "ada@a.example", &["user"]).await.unwrap();
}

/// "If an account exists by given email, end by throwing an error."
async fn source_004_an_account_is_refused_where_the_policy_says_so(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let child = stage.organisation(&owner, "Child", &root).await;
    policy(&stage, &root, refuse_accounts).await;
    // Somebody who can sign in, somebody who is invited elsewhere, and somebody who is not known.
    stage.person("ada@example.com");
    let (other, xyz) = stage.root("XYZ").await;
    invite(&other, &xyz, "bob@example.com", &["user"]).await.unwrap();
    for email in ["ada@example.com", "bob@example.com"] {
        let answer = invite(&owner, &child, email, &["user"]).await;
        assert_eq!(reason(answer), "ACCOUNT_EXISTS", "{email}");
    }
    let invited = invite(&owner, &child, "cyd@example.com", &["user"]).await.unwrap();
    // One that waits is named as such.
    let again = invite(&owner, &child, "cyd@example.com", &["user"]).await;
    assert_eq!(reason(again), "INVITATION_PENDING");
    revoke(&owner, &invited.id).await.unwrap();
    // The nearest that says something decides.
    policy(&stage, &child, |row| row.existing_account = ExistingAccount::Associate).await;
    invite(&owner, &child, "ada@example.com", &["user"]).await.unwrap();
}

/// An attempt that came to nothing after the account was made must not make the next one fail.
async fn what_a_failed_attempt_left_behind_is_invited_all_the_same(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    policy(&stage, &root, refuse_accounts).await;
    let first = invite(&owner, &root, "ada@example.com", &["user"]).await.unwrap();
    revoke(&owner, &first.id).await.unwrap();
    let second = invite(&owner, &root, "ada@example.com", &["user"]).await.unwrap();
    assert_eq!(second.invitee_id, first.invitee_id);
}

async fn a_repeated_request_is_one_invitation(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let request_id = "01890a5d-ac96-774b-bcce-b302099a8057";
    let try_invite = async |email: &str| {
        invite_with(&owner, &root, email, |request| request.request_id = request_id.to_owned())
            .await
    };
    let first = try_invite("ada@example.com").await.unwrap();
    assert_eq!(try_invite("ada@example.com").await.unwrap(), first);
    assert_eq!(reason(try_invite("bob@example.com").await), "REQUEST_ID_REUSED");
    // Also when the invitee has joined meanwhile, and a second invitation would be refused.
    policy(&stage, &root, refuse_accounts).await;
    let ada = stage.person("ada@example.com");
    accept(&ada, &first.id).await.unwrap();
    assert_eq!(try_invite("ada@example.com").await.unwrap(), first);
}

async fn of_many_who_invite_one_address_at_once_one_does(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let answers = race(20, |_| {
        let (owner, root) = (owner.clone(), root.clone());
        async move { invite(&owner, &root, "ada@example.com", &["user"]).await }
    })
    .await;
    assert_eq!(good(&answers), 1);
    for refused in answers.into_iter().filter(Result::is_err) {
        assert_eq!(reason(refused), "INVITATION_PENDING");
    }
}

async fn whoever_has_left_by_time_is_invited_again(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let until = Some(api::timestamp(stage.now() + Duration::minutes(5)));
    let first = invite_with(&owner, &root, "ada@example.com", |request| {
        request.roles = vec!["admin".to_owned()];
        request.membership_expires_at = until;
    });
    let ada = stage.person("ada@example.com");
    accept(&ada, &first.await.unwrap().id).await.unwrap();
    assert_eq!(reason(invite(&owner, &root, &ada.email, &["admin"]).await), "ALREADY_MEMBER");
    stage.pass(Duration::minutes(5));
    assert!(!stage.allows(&ada, &root, "organisations.read").await);
    let second = invite(&owner, &root, &ada.email, &["user"]).await.unwrap();
    accept(&ada, &second.id).await.unwrap();
    assert!(stage.allows(&ada, &root, "organisations.read").await);
    assert!(!stage.allows(&ada, &root, "members.read").await, "what they had is not back");
}
