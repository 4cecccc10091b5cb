use api::organisation::v1::*;
use kernel::{Duration, Uuid};
use sea_orm::{ActiveModelTrait as _, EntityTrait as _, IntoActiveModel as _};
use testkit::Bench;

use super::*;
use crate::{
    entity::access_request,
    testing::{Stage, reason, violations},
};

testkit::on_both_databases!(
    roles_are_replaced_and_the_etag_tells,
    a_suspended_member_has_no_rights_until_resumed,
    removing_twice_is_once_and_leaving_needs_no_permission,
    leaving_withdraws_what_was_asked_for,
    nobody_touches_whom_they_do_not_reach,
    a_wrong_change_is_named,
);

async fn roles_are_replaced_and_the_etag_tells(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    let before = get(&owner, &root, &ada).await.unwrap();
    let after = set_roles(&owner, &root, &ada, &["approver", "admin"]).await.unwrap();
    assert_eq!(after.roles, ["admin", "approver"]);
    let stale = Membership { roles: keys(&["user"]), etag: before.etag, ..Default::default() };
    let answer = update(&owner, &root, &ada, stale, &["roles"]).await;
    assert_eq!(reason(answer), "ETAG_MISMATCH");
    // What comes by an invitation changes it too.
    stage.grant(&ada, root.parse().unwrap(), &["user"]).await;
    assert_ne!(get(&owner, &root, &ada).await.unwrap().etag, after.etag);
    // A service account takes away, but gives invitable roles alone.
    let robot = stage.account("robot", "");
    create(&owner, &root, &robot, &["admin"]).await.unwrap();
    set_roles(&robot, &root, &ada, &["approver"]).await.unwrap();
    let answer = set_roles(&robot, &root, &ada, &["admin"]).await;
    assert_eq!(reason(answer), "ROLE_NOT_INVITABLE");
}

async fn a_suspended_member_has_no_rights_until_resumed(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    let child = stage.organisation(&owner, "Child", &root).await;
    let ada = stage.member("ada@example.com", &root, &["admin"]).await;
    let first = suspend(&owner, &root, &ada).await.unwrap();
    assert_eq!(suspend(&owner, &root, &ada).await.unwrap(), first);
    assert_eq!(first.state(), MembershipState::Suspended);
    assert!(!stage.allows(&ada, &child, "members.read").await);
    // A new role does not count either.
    set_roles(&owner, &root, &ada, &["admin", "user"]).await.unwrap();
    assert!(!stage.allows(&ada, &root, "organisations.read").await);
    let first = resume(&owner, &root, &ada).await.unwrap();
    assert_eq!(resume(&owner, &root, &ada).await.unwrap(), first);
    assert!(stage.allows(&ada, &child, "members.read").await);
}

async fn removing_twice_is_once_and_leaving_needs_no_permission(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    let eve = stage.member("eve@example.com", &root, &["user"]).await;
    assert_eq!(reason(remove(&ada, &root, &eve).await), "PERMISSION_MISSING");
    for _ in 0..2 {
        remove(&owner, &root, &eve).await.unwrap();
        let itself =
            RemoveMembershipRequest { organisation_id: root.clone(), ..Default::default() };
        ada.memberships().remove_membership(itself).await.unwrap();
    }
    for gone in [&ada, &eve] {
        assert!(!stage.allows(gone, &root, "organisations.read").await);
        let id = gone.id.to_string();
        assert_eq!(stage.history("members.remove", &id).await, 1);
    }
    assert_eq!(reason(get(&owner, &root, &ada).await), "MEMBERSHIP_NOT_FOUND");
    assert_eq!(reason(get(&ada, &root, &ada).await), "ORGANISATION_NOT_FOUND");
}

async fn leaving_withdraws_what_was_asked_for(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (_, root) = stage.root("ABC").await;
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    let later = stage.now() + Duration::days(14);
    let asked = access_request::Model {
        id: stage.service.clock.new_id(),
        organisation_id: root.parse().unwrap(),
        requester_id: ada.id,
        roles: "approver".to_owned(),
        application_id: None,
        invitation_id: None,
        target: "role:approver".to_owned(),
        reason: String::new(),
        state: access_request::State::Pending,
        overdue: false,
        no_approvers: false,
        decided_by: None,
        decision_reason: String::new(),
        created_at: stage.now(),
        remind_at: later,
        due_at: later,
        expires_at: later,
        decided_at: None,
        next_change_at: Some(later),
    };
    let database = stage.service.database.read();
    let row = asked.clone().into_active_model().reset_all();
    access_request::Entity::insert(row).exec_without_returning(database).await.unwrap();
    remove(&ada, &root, &ada).await.unwrap();
    let row = access_request::Entity::find_by_id(asked.id).one(database).await.unwrap().unwrap();
    assert_eq!(row.state, access_request::State::Withdrawn);
}

async fn nobody_touches_whom_they_do_not_reach(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    let admin = stage.member("admin@example.com", &root, &["admin"]).await;
    let approver = stage.member("approver@example.com", &root, &["approver"]).await;
    let second = stage.member("second@example.com", &root, &["owner"]).await;
    for whom in [&owner, &second] {
        let later = Some(api::timestamp(stage.now() + Duration::days(1)));
        for answer in [
            suspend(&admin, &root, whom).await.map(drop),
            resume(&admin, &root, whom).await.map(drop),
            remove(&admin, &root, whom).await,
            set_roles(&admin, &root, whom, &["user"]).await.map(drop),
            set_end(&admin, &root, whom, later).await.map(drop),
            remove(&approver, &root, whom).await,
            remove(&approver, &root, &admin).await,
        ] {
            assert_eq!(reason(answer), "GRANT_CEILING_EXCEEDED");
        }
    }
}

async fn a_wrong_change_is_named(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    let past = Some(api::timestamp(stage.now()));
    let wrong = Membership { roles: keys(&["unheard-of"]), expires_at: past, ..Default::default() };
    let answer = update(&owner, &root, &ada, wrong, &["roles", "expires_at", "email"]).await;
    assert_eq!(violations(answer), ["update_mask", "membership.expires_at", "membership.roles[0]"]);
    let answer = set_roles(&owner, &root, &ada, &[]).await;
    assert_eq!(violations(answer), ["membership.roles"]);
    let day = |days| Some(api::timestamp(stage.now() + Duration::days(days)));
    set_end(&owner, &root, &ada, day(2)).await.unwrap();
    // Against the end that there is already.
    let begins = Membership { valid_from: day(3), ..Default::default() };
    let answer = update(&owner, &root, &ada, begins, &["valid_from"]).await;
    assert_eq!(violations(answer), ["membership.expires_at"]);
    let mut nobody = ada.clone();
    nobody.id = Uuid::from_u128(7);
    assert_eq!(reason(set_end(&owner, &root, &nobody, None).await), "MEMBERSHIP_NOT_FOUND");
}
