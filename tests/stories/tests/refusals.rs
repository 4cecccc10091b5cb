//! What is refused although it nearly fits: by who has lost a right, after its time, or for others.

use kernel::Duration;
use serde_json::json;
use stories::{Client, PASSWORD, Platform};
use testkit::with_token;

/// Changes what no RPC changes yet, on a platform that runs on SQLite.
async fn sql(platform: &Platform, service: &str, statement: &str) {
    use sea_orm::ConnectionTrait as _;
    let url = db::DatabaseUrl::Sqlite(platform.folder());
    let database = db::Database::connect(&url, service, 1).await.unwrap();
    let done = database.read().execute_unprepared(statement).await.unwrap();
    assert!(done.rows_affected() >= 1, "{statement}");
}

async fn root(platform: &Platform) -> (Client, String) {
    let owner = platform.owner().await;
    let root = owner.create_organisation("ABC Holdings", None).await;
    (owner, root)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_lost_the_right_lets_nobody_in_by_an_old_invitation() {
    let platform = Platform::on_sqlite().await;
    let (owner, root) = root(&platform).await;
    let ada = platform.member(&owner, &root, "ada@example.com", "admin").await;
    let child = owner.create_organisation("Child", Some(&root)).await;
    let bob = platform.member(&owner, &child, "bob@example.com", "user").await;
    let invitation = ada.invite(&root, "bob@example.com", "user").await;
    let demote = "DELETE FROM membership_roles WHERE subject_id = \
                  (SELECT user_id FROM people WHERE email = 'ada@example.com')";
    sql(&platform, "organisation", demote).await;
    let refused = bob.set_state(&invitation, "accepted").await;
    assert_eq!(refused.reason(), "INVITER_LOST_RIGHT", "{refused:?}");
    assert_eq!(owner.state_of(&invitation).await, "pending");
    assert!(!platform.allows(&bob, &root, "organisations.read").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_invitation_is_not_accepted_by_who_is_signed_in() {
    let platform = Platform::on_sqlite().await;
    let (owner, root) = root(&platform).await;
    platform.member(&owner, &root, "ada@example.com", "user").await;
    let invitation = owner.invite(&root, "ada@example.com", "admin").await;
    platform.clock.as_ref().unwrap().advance(Duration::hours(48));
    let ada = platform.anonymous().sign_in("ada@example.com", PASSWORD).await;
    let late = ada.set_state(&invitation, "accepted").await;
    assert_eq!((late.status, late.reason()), (409, "INVITATION_EXPIRED"), "{late:?}");
    assert!(!platform.allows(&ada, &root, "invitations.create").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn about_others_one_asks_with_the_scope_alone() {
    use api::organisation::v1::{
        CheckPermissionRequest, permission_service_client::PermissionServiceClient,
    };
    let platform = Platform::on_sqlite().await;
    let (owner, root) = root(&platform).await;
    let ada = platform.member(&owner, &root, "ada@example.com", "admin").await;
    let powerless = platform.service_token("powerless", &[]).await;
    let scoped = platform.service_token("scoped", &["permissions.check"]).await;
    let me = owner.get("/api/me").await.expect(200);
    let request = CheckPermissionRequest {
        subject_id: me["id"].as_str().expect("an id").to_owned(),
        organisation_id: root,
        permission: "owners.manage".to_owned(),
    };
    let mut permissions = PermissionServiceClient::new(platform.organisation());
    for token in [ada.token(), &powerless] {
        let refused = permissions.check_permission(with_token(token, request.clone())).await;
        assert_eq!(refused.expect_err("a refusal").code(), tonic::Code::PermissionDenied);
    }
    let told = permissions.check_permission(with_token(&scoped, request)).await;
    assert!(told.expect("an answer").into_inner().allowed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_person_neither_signs_in_nor_refreshes() {
    let platform = Platform::on_sqlite().await;
    let (owner, root) = root(&platform).await;
    platform.member(&owner, &root, "ada@example.com", "user").await;
    let visitor = platform.anonymous();
    let tokens = visitor.try_sign_in("ada@example.com", PASSWORD).await.expect(201);
    let suspend = "UPDATE users SET status = 'suspended' WHERE email = 'ada@example.com'";
    sql(&platform, "identity", suspend).await;
    let refused = visitor.try_sign_in("ada@example.com", PASSWORD).await;
    assert_eq!((refused.status, refused.reason()), (401, "CREDENTIALS_INVALID"));
    let refresh = json!({ "refresh_token": tokens["refresh_token"] });
    assert_eq!(visitor.post("/api/sessions/refresh", &refresh).await.status, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_left_alone_for_two_weeks_is_over() {
    let platform = Platform::on_sqlite().await;
    let visitor = platform.anonymous();
    let tokens = visitor.try_sign_in("owner@example.com", PASSWORD).await.expect(201);
    platform.clock.as_ref().unwrap().advance(Duration::days(14));
    let refresh = json!({ "refresh_token": tokens["refresh_token"] });
    assert_eq!(visitor.post("/api/sessions/refresh", &refresh).await.status, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approver_sees_an_invitation_and_does_not_touch_it() {
    let platform = Platform::on_sqlite().await;
    let (owner, root) = root(&platform).await;
    let ada = platform.member(&owner, &root, "ada@example.com", "approver").await;
    let invitation = owner.invite(&root, "eve@example.com", "user").await;
    assert_eq!(ada.state_of(&invitation).await, "pending");
    let revoke = ada.set_state(&invitation, "revoked").await;
    let path = format!("/api/organisation-invitations/{invitation}/reissue");
    let reissue = ada.post(&path, &json!({})).await;
    for refused in [reissue, revoke] {
        assert_eq!((refused.status, refused.reason()), (403, "PERMISSION_MISSING"));
    }
    assert_eq!(owner.state_of(&invitation).await, "pending");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issue_that_was_overtaken_is_not_mailed() {
    use api::organisation::v1::{
        GetInvitationMailRequest, invitation_service_client::InvitationServiceClient,
    };
    let platform = Platform::on_sqlite().await;
    let (owner, root) = root(&platform).await;
    let mailer = platform.service_token("another-mailer", &["invitations.mail"]).await;
    let invitation_id = owner.invite(&root, "ada@example.com", "user").await;
    let path = format!("/api/organisation-invitations/{invitation_id}/reissue");
    owner.post(&path, &json!({})).await.expect(200);
    let mut invitations = InvitationServiceClient::new(platform.organisation());
    for issue in [1, 2] {
        let request = GetInvitationMailRequest {
            invitation_id: invitation_id.clone(),
            issue,
            expired: false,
        };
        let mail = invitations.get_invitation_mail(with_token(&mailer, request)).await;
        assert_eq!(mail.expect("an answer").into_inner().superseded, issue == 1);
    }
}
