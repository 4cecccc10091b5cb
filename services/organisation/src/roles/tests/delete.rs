use api::organisation::v1::*;
use kernel::Uuid;
use sea_orm::{IntoActiveModel as _, entity::prelude::*};
use testkit::Bench;

use super::{create, delete, get};
use crate::{
    domain::role::Roles,
    entity::{access_request, application, application_access, membership, role},
    testing::{Stage, Who, reason, violations},
};

testkit::on_both_databases!(
    a_role_that_nobody_has_is_deleted,
    a_role_in_use_is_deleted_only_for_another_which_all_get,
    a_replacement_is_another_role_of_the_same_root,
    a_role_of_an_application_is_replaced_with_its_holders,
    a_role_is_given_or_deleted_and_never_both,
);

async fn a_role_that_nobody_has_is_deleted(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let role = create(&owner, &root, "teacher", &[]).await.unwrap();
    delete(&owner, &role.id, "").await.unwrap();
    assert_eq!(reason(get(&owner, &role.id).await), "ROLE_NOT_FOUND");
    assert_eq!(reason(delete(&owner, &role.id, "").await), "ROLE_NOT_FOUND");
    create(&owner, &root, "teacher", &[]).await.unwrap();
}

async fn offer(who: &Who, organisation: &str, email: &str, roles: &[&str]) -> String {
    let request = CreateInvitationRequest {
        organisation_id: organisation.to_owned(),
        email: email.to_owned(),
        roles: roles.iter().map(|it| (*it).to_owned()).collect(),
        ..Default::default()
    };
    let answer = who.invitations().create_invitation(request).await.unwrap().into_inner();
    answer.invitation.unwrap().id
}

async fn set_default(who: &Who, organisation: &str, key: &str) -> Organisation {
    let policy = InvitationPolicy { default_role: key.to_owned(), ..Default::default() };
    let request = UpdateOrganisationRequest {
        organisation: Some(Organisation {
            id: organisation.to_owned(),
            invitation_policy: Some(policy),
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["invitation_policy.default_role".to_owned()],
        }),
        ..Default::default()
    };
    let answer = who.organisations().update_organisation(request).await.unwrap().into_inner();
    answer.organisation.unwrap()
}

/// A pending request for roles, past its own rules.
async fn ask(
    stage: &Stage,
    who: &Who,
    organisation: &str,
    roles: &str,
    application: Option<Uuid>,
) -> Uuid {
    let now = stage.now();
    let target = match application {
        Some(id) => format!("application:{id}"),
        None => format!("role:{}", roles.to_lowercase()),
    };
    let request = access_request::Model {
        id: stage.service.clock.new_id(),
        organisation_id: organisation.parse().unwrap(),
        requester_id: who.id,
        roles: roles.to_owned(),
        application_id: application,
        invitation_id: None,
        target,
        reason: String::new(),
        state: access_request::State::Pending,
        overdue: false,
        no_approvers: false,
        decided_by: None,
        decision_reason: String::new(),
        created_at: now,
        remind_at: now,
        due_at: now,
        expires_at: now + kernel::Duration::days(1),
        decided_at: None,
        next_change_at: None,
    };
    let (id, row) = (request.id, request.into_active_model());
    let insert = access_request::Entity::insert(row);
    insert.exec_without_returning(stage.service.database.read()).await.unwrap();
    id
}

async fn asked(stage: &Stage, id: Uuid) -> access_request::Model {
    let database = stage.service.database.read();
    access_request::Entity::find_by_id(id).one(database).await.unwrap().unwrap()
}

async fn a_role_in_use_is_deleted_only_for_another_which_all_get(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let child = stage.organisation(&owner, "Child 1", &root).await;
    let old = create(&owner, &root, "Old_Role", &["members.read"]).await.unwrap();
    create(&owner, &root, "new-role", &["organisations.read"]).await.unwrap();
    // Its underscore is no wildcard.
    create(&owner, &root, "OldXRole", &[]).await.unwrap();

    let ada = stage.member("ada@example.com", &child, &["Old_Role"]).await;
    let both = stage.member("both@example.com", &child, &["Old_Role", "new-role"]).await;
    assert_eq!(reason(delete(&owner, &old.id, "").await), "ROLE_HELD");
    let first = offer(&owner, &child, "one@example.com", &["Old_Role", "user"]).await;
    let second = offer(&owner, &child, "two@example.com", &["old_role", "new-role"]).await;
    let third = offer(&owner, &child, "three@example.com", &["OldXRole"]).await;
    let default = set_default(&owner, &child, "old_role").await;
    assert_eq!(default.invitation_policy.unwrap().default_role, "Old_Role");
    let asks = ask(&stage, &ada, &root, "Old_Role", None).await;
    let asks_both = ask(&stage, &both, &root, "Old_Role", None).await;
    ask(&stage, &both, &root, "new-role", None).await;

    assert_eq!(reason(delete(&owner, &old.id, "").await), "ROLE_HELD");
    delete(&owner, &old.id, "New-Role").await.unwrap();
    assert_eq!(reason(get(&owner, &old.id).await), "ROLE_NOT_FOUND");
    for who in [&ada, &both] {
        let rows = membership::roles(stage.service.database.read(), who.id, child.parse().unwrap());
        assert_eq!(rows.await.unwrap().keys(), ["new-role"], "{}", who.email);
        assert!(stage.allows(who, &child, "organisations.read").await);
        assert!(!stage.allows(who, &child, "members.read").await);
    }
    for (id, roles) in
        [(first, &["new-role", "user"][..]), (second, &["new-role"]), (third, &["OldXRole"])]
    {
        let request = GetInvitationRequest { id };
        let found = owner.invitations().get_invitation(request).await.unwrap().into_inner();
        assert_eq!(found.invitation.unwrap().roles, roles);
    }
    let child = GetOrganisationRequest { id: child };
    let child = owner.organisations().get_organisation(child).await.unwrap().into_inner();
    let child = child.organisation.unwrap();
    assert_eq!(child.invitation_policy.unwrap().default_role, "new-role");
    assert_ne!(child.etag, default.etag);
    let request = asked(&stage, asks).await;
    assert_eq!((&*request.roles, &*request.target), ("new-role", "role:new-role"));
    // Asked for already: once is enough.
    assert_eq!(asked(&stage, asks_both).await.state, access_request::State::Withdrawn);
}

async fn a_replacement_is_another_role_of_the_same_root(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let (other, other_root) = stage.root("XYZ").await;
    let role = create(&owner, &root, "teacher", &[]).await.unwrap();
    create(&other, &other_root, "janitor", &[]).await.unwrap();
    for wrong in ["teacher", "TEACHER", "janitor", "support", "nobody", "no key"] {
        let named = violations(delete(&owner, &role.id, wrong).await);
        assert_eq!(named, ["replacement"], "{wrong}");
    }
    // A service account gives what is marked invitable.
    let account = stage.account("provisioning", "");
    stage.grant(&account, root.parse().unwrap(), &["owner"]).await;
    assert_eq!(reason(delete(&account, &role.id, "approver").await), "ROLE_NOT_INVITABLE");
    delete(&account, &role.id, "user").await.unwrap();
}

async fn a_role_of_an_application_is_replaced_with_its_holders(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let id = crate::organisations::tests::stage_application(&stage, &root).await;
    let database = stage.service.database.read();
    let find = || application::Entity::find_by_id(id).one(database);
    let default = find().await.unwrap().unwrap().default_role_id;
    assert_eq!(reason(delete(&owner, &default.to_string(), "").await), "ROLE_HELD");
    let request = CreateRoleRequest {
        application_id: id.to_string(),
        key: "writer".to_owned(),
        ..Default::default()
    };
    let writer = owner.roles().create_role(request).await.unwrap().into_inner().role.unwrap();
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    let old = role::by_id(database, [default]).await.unwrap();
    let organisation = root.parse().unwrap();
    application_access::grant(database, ada.id, organisation, id, &old, stage.now()).await.unwrap();
    let asks = ask(&stage, &ada, &root, "reader", Some(id)).await;
    // A role of the organisation is none of the application's.
    assert_eq!(violations(delete(&owner, &default.to_string(), "user").await), ["replacement"]);
    delete(&owner, &default.to_string(), "writer").await.unwrap();
    let held = application_access::of(ada.id, organisation, id).all(database).await.unwrap();
    let writer: Uuid = writer.id.parse().unwrap();
    assert_eq!(held.iter().map(|row| row.role_id).collect::<Vec<_>>(), [writer]);
    assert_eq!(find().await.unwrap().unwrap().default_role_id, writer);
    assert_eq!(asked(&stage, asks).await.roles, "writer");
}

async fn a_role_is_given_or_deleted_and_never_both(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let organisation: Uuid = root.parse().unwrap();
    for round in 0..200 {
        let made = create(&owner, &root, &format!("role-{round}"), &[]).await.unwrap();
        let id: Uuid = made.id.parse().unwrap();
        let (service, database) = (&stage.service, stage.service.database.read());
        let roles = role::by_id(database, [id]).await.unwrap();
        let subject = service.clock.new_id();
        let answers = testkit::race(2, |index| {
            let (service, owner, id) = (service.clone(), owner.clone(), made.id.clone());
            let roles: Roles = roles.clone();
            async move {
                if index == 0 {
                    return delete(&owner, &id, "").await.is_ok();
                }
                let new = membership::New {
                    id: service.clock.new_id(),
                    is_service_account: true,
                    span: membership::Span::default(),
                    now: service.clock.now(),
                };
                let tx = service.database.begin().await.unwrap();
                let granted = membership::grant(&*tx, subject, organisation, &roles, new).await;
                granted.is_ok() && tx.commit().await.is_ok()
            }
        })
        .await;
        assert_ne!(answers[0], answers[1], "round {round}");
    }
}
