//! Signing in, staying signed in, and signing out.

use kernel::Duration;
use serde_json::json;
use service::RawSettings;
use stories::{PASSWORD, Platform, noon};
use testkit::{race, servers};

stories::on_both_databases!(
    a_refresh_token_is_good_once_and_its_reuse_ends_the_session,
    of_many_refreshes_with_one_token_at_most_one_succeeds,
    signing_out_ends_access_and_refresh_at_once,
    t01_a_forged_token_is_refused,
    t18_unknown_address_and_wrong_password_answer_alike,
    failed_sign_ins_are_throttled,
    the_key_set_is_published,
    the_platform_owner_alone_makes_service_accounts,
);

const OWNER: &str = "owner@example.com";

/// Nothing in the cache is the only copy of anything: without it sign-outs and failed sign-ins count
/// less, and everything else goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_cache_people_still_sign_in_and_invite() {
    let mut raw = RawSettings::default();
    raw.set("cache_url", "redis://127.0.0.1:1");
    let platform = Platform::embedded(raw, None).await;
    let owner = platform.owner().await;
    let root = owner.create_organisation("ABC Holdings", None).await;
    platform.member(&owner, &root, "ada@example.com", "user").await;
    assert_eq!(owner.delete("/api/sessions/current").await.status, 204);
}

async fn a_refresh_token_is_good_once_and_its_reuse_ends_the_session(platform: Platform) {
    let visitor = platform.anonymous();
    let tokens = visitor.try_sign_in(OWNER, PASSWORD).await.expect(201);
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["expires_in"], 600);
    let first = json!({ "refresh_token": tokens["refresh_token"] });
    let renewed = visitor.post("/api/sessions/refresh", &first).await.expect(200);
    let owner = visitor.with_token(renewed["access_token"].as_str().expect("a token"));
    owner.get("/api/me").await.expect(200);

    let reused = visitor.post("/api/sessions/refresh", &first).await;
    assert_eq!((reused.status, reused.reason()), (401, "REFRESH_TOKEN_REUSED"));
    let second = json!({ "refresh_token": renewed["refresh_token"] });
    let ended = visitor.post("/api/sessions/refresh", &second).await;
    assert_eq!((ended.status, ended.reason()), (401, "REFRESH_TOKEN_INVALID"));
    assert_eq!(owner.get("/api/me").await.status, 401, "the thief's access token is dead too");
    let rubbish = visitor.post("/api/sessions/refresh", &json!({ "refresh_token": "x" })).await;
    assert_eq!((rubbish.status, rubbish.reason()), (401, "REFRESH_TOKEN_INVALID"));
}

async fn of_many_refreshes_with_one_token_at_most_one_succeeds(platform: Platform) {
    let visitor = platform.anonymous();
    let tokens = visitor.try_sign_in(OWNER, PASSWORD).await.expect(201);
    let answers =
        race(20, |_| {
            let (visitor, token) = (visitor.clone(), tokens["refresh_token"].clone());
            async move {
                visitor.post("/api/sessions/refresh", &json!({ "refresh_token": token })).await
            }
        })
        .await;
    let renewed = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(renewed, 1, "{answers:?}");
    assert!(answers.iter().all(|answer| [200, 401].contains(&answer.status)), "{answers:?}");
}

async fn signing_out_ends_access_and_refresh_at_once(platform: Platform) {
    let visitor = platform.anonymous();
    let tokens = visitor.try_sign_in(OWNER, PASSWORD).await.expect(201);
    let owner = visitor.with_token(tokens["access_token"].as_str().expect("a token"));
    let root = owner.create_organisation("ABC Holdings", None).await;
    assert_eq!(owner.delete("/api/sessions/current").await.status, 204);
    // In every service, not only where the sign-out was heard.
    assert_eq!(owner.get("/api/me").await.reason(), "TOKEN_INVALID");
    assert_eq!(owner.get(&format!("/api/organisations/{root}")).await.status, 401);
    let refresh = json!({ "refresh_token": tokens["refresh_token"] });
    assert_eq!(visitor.post("/api/sessions/refresh", &refresh).await.status, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_access_token_lives_ten_minutes() {
    let mut on_postgres = RawSettings::default();
    on_postgres.set("database_url", servers::postgres().await);
    for raw in [RawSettings::default(), on_postgres] {
        let clock = noon();
        let platform = Platform::embedded(raw, Some(clock.clone())).await;
        let owner = platform.owner().await;
        clock.advance(Duration::seconds(599));
        owner.get("/api/me").await.expect(200);
        clock.advance(Duration::seconds(1));
        assert_eq!(owner.get("/api/me").await.status, 401);
    }
}

async fn t01_a_forged_token_is_refused(platform: Platform) {
    let owner = platform.owner().await;
    let token = owner.token().to_owned();
    let mut forgeries = vec![
        String::new(),
        "x".repeat(10_000),
        "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.e30.".to_owned(),
    ];
    let parts: Vec<_> = token.split('.').collect();
    forgeries.push(format!("{}.{}.", parts[0], parts[1]));
    // Every seventh character changed, one at a time, in header, claims and signature.
    for index in (0..token.len() - 1).step_by(7) {
        let mut bytes = token.clone().into_bytes();
        bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
        forgeries.push(String::from_utf8(bytes).expect("ASCII"));
    }
    for forged in forgeries.iter().filter(|forged| **forged != token) {
        let answer = owner.with_token(forged).get("/api/me").await;
        assert_eq!(answer.status, 401, "{forged}");
    }
    owner.get("/api/me").await.expect(200);
}

async fn t18_unknown_address_and_wrong_password_answer_alike(platform: Platform) {
    let visitor = platform.anonymous();
    let owner = platform.owner().await;
    let root = owner.create_organisation("ABC Holdings", None).await;
    owner.invite(&root, "invited@example.com", "user").await;
    let wrong = visitor.try_sign_in(OWNER, "a wrong password of some length").await;
    let unknown = visitor.try_sign_in("nobody@example.com", PASSWORD).await;
    let invited = visitor.try_sign_in("invited@example.com", PASSWORD).await;
    assert_eq!((wrong.status, wrong.reason()), (401, "CREDENTIALS_INVALID"));
    assert_eq!(wrong, unknown);
    assert_eq!(wrong, invited);
}

async fn failed_sign_ins_are_throttled(platform: Platform) {
    let visitor = platform.anonymous();
    let answers = race(15, |_| {
        let visitor = visitor.clone();
        async move { visitor.try_sign_in(OWNER, "a wrong password of some length").await }
    })
    .await;
    let tried = answers.iter().filter(|answer| answer.status == 401).count();
    let throttled = answers.iter().filter(|answer| answer.reason() == "TOO_MANY_ATTEMPTS").count();
    assert_eq!((tried, throttled), (10, 5), "{answers:?}");
    assert_eq!(visitor.try_sign_in(OWNER, PASSWORD).await.status, 429);
    assert_eq!(visitor.try_sign_in("nobody@example.com", PASSWORD).await.status, 401);
}

async fn the_key_set_is_published(platform: Platform) {
    let keys = platform.anonymous().get("/.well-known/jwks.json").await.expect(200);
    let key = &keys["keys"][0];
    assert_eq!(
        (&key["kty"], &key["crv"], &key["alg"]),
        (&json!("OKP"), &json!("Ed25519"), &json!("EdDSA"))
    );
    assert!(key["x"].is_string() && key["kid"].is_string(), "{keys}");
    assert!(key.get("d").is_none(), "the private half stays private");
}

async fn the_platform_owner_alone_makes_service_accounts(platform: Platform) {
    use api::identity::v1::{
        CreateServiceAccountRequest, service_account_service_client::ServiceAccountServiceClient,
    };
    use testkit::with_token;
    use tonic::Code;
    platform.service_token("a-caller", &["permissions.check"]).await;
    let owner = platform.owner().await;
    let root = owner.create_organisation("ABC Holdings", None).await;
    let ada = platform.member(&owner, &root, "ada@example.com", "owner").await;
    let mut accounts = ServiceAccountServiceClient::new(platform.identity());
    let request = |name: &str, scope: &str| CreateServiceAccountRequest {
        name: name.to_owned(),
        scopes: vec![scope.to_owned()],
    };
    for (client, name, scope, code) in [
        (&ada, "another", "permissions.check", Code::PermissionDenied),
        (&owner, "a-caller", "permissions.check", Code::AlreadyExists),
        (&owner, "Another One", "everything", Code::InvalidArgument),
    ] {
        let request = with_token(client.token(), request(name, scope));
        let refused = accounts.create_service_account(request).await.expect_err("a refusal");
        assert_eq!(refused.code(), code);
    }
}
