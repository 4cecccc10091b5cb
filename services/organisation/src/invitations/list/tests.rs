use api::organisation::v1::{InvitationState, ListInvitationsRequest};
use kernel::Duration;
use sea_orm::{entity::prelude::*, sea_query::Expr};
use testkit::Bench;

use crate::{
    entity::invitation::{self, Column},
    invitations::tests::{application, invite, invite_with, policy, revoke},
    testing::{Stage, Who, reason, violations},
};

testkit::on_both_databases!(
    a_list_is_of_whom_one_asks_for,
    pages_follow_one_another_either_way,
    what_is_over_is_at_its_place_whether_or_not_it_is_marked,
    a_list_reaches_downward_if_asked,
    what_one_may_not_see_is_not_listed,
);

/// The addresses on all pages of a list, two a page.
async fn emails(
    by: &Who,
    organisation: &str,
    with: impl FnOnce(&mut ListInvitationsRequest),
) -> Vec<String> {
    let mut request = ListInvitationsRequest {
        organisation_id: organisation.to_owned(),
        page_size: 2,
        ..Default::default()
    };
    with(&mut request);
    let mut seen = Vec::new();
    loop {
        let answer = by.invitations().list_invitations(request.clone()).await.unwrap().into_inner();
        assert!(answer.invitations.len() <= 2);
        let names = answer.invitations.into_iter();
        seen.extend(names.map(|it| it.email.split('@').next().unwrap().to_owned()));
        if answer.next_page_token.is_empty() {
            return seen;
        }
        request.page_token = answer.next_page_token;
    }
}

async fn a_list_is_of_whom_one_asks_for(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let admin = stage.member("admin@example.com", &root, &["admin"]).await;
    let shop = application(&stage, &root, "Shop", false).await;
    invite(&owner, &root, "ada@example.com", &["user"]).await.unwrap();
    let bob = invite(&admin, &root, "bob@example.com", &["user"]).await.unwrap();
    let cyd = invite_with(&owner, &root, "cyd@example.com", |request| {
        request.application_id = shop.clone();
        request.source_id = "order 66".to_owned();
    });
    cyd.await.unwrap();
    revoke(&owner, &bob.id).await.unwrap();
    let all = emails(&owner, &root, |_| {}).await;
    assert_eq!(all, ["ada", "bob", "cyd"]);
    let pending = emails(&owner, &root, |it| it.state = InvitationState::Pending.into()).await;
    assert_eq!(pending, ["ada", "cyd"]);
    let revoked = emails(&owner, &root, |it| it.state = InvitationState::Revoked.into()).await;
    assert_eq!(revoked, ["bob"]);
    let theirs = emails(&owner, &root, |it| it.inviter_id = admin.id.to_string()).await;
    assert_eq!(theirs, ["bob"]);
    let to = emails(&owner, &root, |it| it.email = " ADA@Example.COM".to_owned()).await;
    assert_eq!(to, ["ada"]);
    let application = emails(&owner, &root, |it| it.application_id = shop).await;
    assert_eq!(application, ["cyd"]);
    let source = emails(&owner, &root, |it| it.source_id = "order 66".to_owned()).await;
    assert_eq!(source, ["cyd"]);
}

async fn pages_follow_one_another_either_way(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let names = ["a", "b", "c", "d", "e"];
    for name in names {
        invite(&owner, &root, &format!("{name}@example.com"), &["user"]).await.unwrap();
    }
    assert_eq!(emails(&owner, &root, |_| {}).await, names);
    let latest = emails(&owner, &root, |it| it.order_by = "created_at desc".to_owned()).await;
    assert_eq!(latest, ["e", "d", "c", "b", "a"]);
    let request = ListInvitationsRequest {
        organisation_id: root,
        order_by: "email".to_owned(),
        email: "nobody".to_owned(),
        inviter_id: "7".to_owned(),
        ..Default::default()
    };
    let named = violations(owner.invitations().list_invitations(request).await);
    assert_eq!(named, ["inviter_id", "email", "order_by"]);
}

async fn what_is_over_is_at_its_place_whether_or_not_it_is_marked(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let names = ["a", "b", "c", "d", "e"];
    let mut ids = Vec::new();
    for name in names {
        let invited = invite(&owner, &root, &format!("{name}@example.com"), &["user"]).await;
        ids.push(invited.unwrap().id);
    }
    // The service marks those whose time is over a little later.
    stage.pass(Duration::hours(49));
    let owner = stage.person(&owner.email);
    for marked in [1, 4] {
        let marked = Column::Id.eq(ids[marked].parse::<kernel::Uuid>().unwrap());
        invitation::Entity::update_many()
            .col_expr(Column::State, Expr::value(invitation::State::Expired))
            .filter(marked)
            .exec(stage.service.database.read())
            .await
            .unwrap();
    }
    let expired = InvitationState::Expired;
    assert_eq!(emails(&owner, &root, |it| it.state = expired.into()).await, names);
    let latest = |it: &mut ListInvitationsRequest| {
        it.state = expired.into();
        it.order_by = "created_at desc".to_owned();
    };
    assert_eq!(emails(&owner, &root, latest).await, ["e", "d", "c", "b", "a"]);
    let pending = InvitationState::Pending;
    assert_eq!(emails(&owner, &root, |it| it.state = pending.into()).await, [""; 0]);
}

async fn a_list_reaches_downward_if_asked(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let child = stage.organisation(&owner, "Child 1", &root).await;
    let sibling = stage.organisation(&owner, "Child 2", &root).await;
    let (other, xyz) = stage.root("XYZ").await;
    invite(&owner, &root, "ada@example.com", &["user"]).await.unwrap();
    invite(&owner, &child, "bob@example.com", &["user"]).await.unwrap();
    invite(&owner, &sibling, "cyd@example.com", &["user"]).await.unwrap();
    invite(&other, &xyz, "eve@example.com", &["user"]).await.unwrap();
    let approver = stage.member("approver@example.com", &root, &["approver"]).await;
    assert_eq!(emails(&owner, &root, |it| it.recursive = true).await, ["ada", "bob", "cyd"]);
    assert_eq!(emails(&owner, &child, |it| it.recursive = true).await, ["bob"]);
    // An archived organisation is for those who could restore it.
    policy(&stage, &sibling, |row| row.archived_by = Some(row.id)).await;
    assert_eq!(emails(&owner, &root, |it| it.recursive = true).await, ["ada", "bob", "cyd"]);
    assert_eq!(emails(&approver, &root, |it| it.recursive = true).await, ["ada", "bob"]);
}

async fn what_one_may_not_see_is_not_listed(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let child = stage.organisation(&owner, "Child", &root).await;
    let user = stage.member("user@example.com", &root, &["user"]).await;
    let below = stage.member("below@example.com", &child, &["owner"]).await;
    let platform = stage.platform_owner().await;
    let nil = kernel::Uuid::nil().to_string();
    for (who, organisation, refusal) in [
        (&user, &root, "PERMISSION_MISSING"),
        (&below, &root, "ORGANISATION_NOT_FOUND"),
        (&platform, &nil, "ORGANISATION_NOT_FOUND"),
    ] {
        let request =
            ListInvitationsRequest { organisation_id: organisation.clone(), ..Default::default() };
        assert_eq!(reason(who.invitations().list_invitations(request).await), refusal);
    }
}
