use api::organisation::v1::*;
use testkit::Bench;

use super::{create, get, keys, update};
use crate::{
    domain::role::BuiltIn,
    testing::{Stage, reason, violations},
};

testkit::on_both_databases!(
    the_roles_of_the_sources_can_be_made_and_used,
    everybody_reads_the_catalogue_and_the_built_in_roles,
    a_sub_organisation_gives_the_roles_of_its_root_and_no_others,
    a_role_of_a_root_is_the_roots_alone_to_make_and_change,
    what_is_wrong_with_a_new_role_is_named_at_once,
    a_key_is_one_roles_without_regard_to_case,
    an_update_changes_what_it_names_and_holders_have_it_at_once,
    an_applications_roles_are_its_managers_to_make,
);

async fn the_roles_of_the_sources_can_be_made_and_used(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let child = stage.organisation(&owner, "Child 1", &root).await;
    let inviting = ["organisations.read", "invitations.create"].as_slice();
    for (key, permissions) in [
        ("End-user", &["organisations.read"][..]),
        ("team", &["organisations.read", "members.read"]),
        ("teacher", &["organisations.read", "requests.read"]),
        ("inviteUsers", inviting),
    ] {
        let made = create(&owner, &root, key, permissions).await.unwrap();
        assert_eq!(
            (&*made.key, &*made.display_name, made.permissions),
            (key, key, permissions.iter().map(|it| (*it).to_owned()).collect())
        );
        let ada = stage.person(&format!("{}@example.com", key.to_lowercase()));
        // Case does not matter.
        invite(&owner, &child, &ada.email, &key.to_uppercase()).await.unwrap();
        let pending =
            ListInvitationsRequest { organisation_id: child.clone(), ..Default::default() };
        let pending = owner.invitations().list_invitations(pending).await.unwrap().into_inner();
        let offer = pending.invitations.into_iter().find(|it| it.email == ada.email).unwrap();
        assert_eq!(offer.roles, [key]);
        let request = AcceptInvitationRequest { id: offer.id, ..Default::default() };
        ada.invitations().accept_invitation(request).await.unwrap();
        for permission in permissions {
            assert!(stage.allows(&ada, &child, permission).await, "{key} {permission}");
        }
        assert!(!stage.allows(&ada, &child, "members.remove").await);
        assert!(!stage.allows(&ada, &root, "organisations.read").await);
    }
    assert_eq!(reason(create(&owner, &root, "Approver", &[]).await), "ROLE_EXISTS");
    let offer = invite(&owner, &child, "decider@example.com", "Approver").await.unwrap();
    assert_eq!(offer.roles, ["approver"]);
    // Who may invite offers what they hold.
    let inviter = stage.person("inviteusers@example.com");
    let offer = invite(&inviter, &child, "next@example.com", "End-user").await.unwrap();
    assert_eq!(offer.roles, ["End-user"]);
    let refused = invite(&inviter, &child, "other@example.com", "team").await;
    assert_eq!(reason(refused), "GRANT_CEILING_EXCEEDED");
}

async fn invite(
    who: &crate::testing::Who,
    organisation: &str,
    email: &str,
    role: &str,
) -> Result<Invitation, tonic::Status> {
    let request = CreateInvitationRequest {
        organisation_id: organisation.to_owned(),
        email: email.to_owned(),
        roles: vec![role.to_owned()],
        ..Default::default()
    };
    Ok(who.invitations().create_invitation(request).await?.into_inner().invitation.unwrap())
}

async fn everybody_reads_the_catalogue_and_the_built_in_roles(bench: Bench) {
    let stage = Stage::set(bench).await;
    for who in [stage.person("ada@example.com"), stage.account("a-service", "")] {
        let catalogue = who.roles().list_permissions(ListPermissionsRequest {}).await;
        let catalogue = catalogue.unwrap().into_inner().permissions;
        assert!(catalogue.iter().any(|it| it.key == "invitations.create"));
        assert!(catalogue.iter().all(|it| it.description.ends_with('.')));
        let role = get(&who, &BuiltIn::Approver.id().to_string()).await.unwrap();
        assert!(role.built_in && role.permissions.contains(&"requests.decide".to_owned()));
    }
}

async fn a_sub_organisation_gives_the_roles_of_its_root_and_no_others(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let (other, other_root) = stage.root("XYZ").await;
    let child = stage.organisation(&owner, "Child 1", &root).await;
    let ours = create(&owner, &root, "teacher", &[]).await.unwrap();
    let theirs = create(&other, &other_root, "janitor", &[]).await.unwrap();
    let expected = ["owner", "admin", "approver", "user", "teacher"];
    assert_eq!(keys(&owner, &child).await.unwrap(), expected);
    assert_eq!(keys(&owner, &root).await.unwrap(), expected);
    let member = stage.member("user@example.com", &child, &["user"]).await;
    assert_eq!(keys(&member, &child).await.unwrap(), expected);
    assert_eq!(reason(keys(&member, &root).await), "ORGANISATION_NOT_FOUND");
    // The root has no name for whoever may not see it.
    assert_eq!(get(&member, &ours.id).await.unwrap().organisation_id, "");
    assert_eq!(get(&owner, &ours.id).await.unwrap().organisation_id, root);
    assert_eq!(reason(get(&member, &theirs.id).await), "ROLE_NOT_FOUND");
    assert_eq!(reason(get(&owner, &theirs.id).await), "ROLE_NOT_FOUND");

    let mut request =
        ListRolesRequest { organisation_id: child, page_size: 2, ..Default::default() };
    let mut paged = Vec::new();
    loop {
        let page = member.roles().list_roles(request.clone()).await.unwrap().into_inner();
        paged.extend(page.roles.into_iter().map(|role| role.key));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(paged, expected);
}

async fn a_role_of_a_root_is_the_roots_alone_to_make_and_change(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let child = stage.organisation(&owner, "Child 1", &root).await;
    let named = violations(create(&owner, &child, "teacher", &[]).await);
    assert_eq!(named, ["organisation_id"]);
    let role = create(&owner, &root, "teacher", &[]).await.unwrap();
    let of_child = stage.member("child@example.com", &child, &["owner"]).await;
    let user = stage.member("user@example.com", &root, &["user"]).await;
    let stranger = stage.person("eve@example.com");
    for (who, hidden, refused) in [
        (&of_child, "ORGANISATION_NOT_FOUND", "PERMISSION_MISSING"),
        (&user, "PERMISSION_MISSING", "PERMISSION_MISSING"),
        (&stranger, "ORGANISATION_NOT_FOUND", "ROLE_NOT_FOUND"),
    ] {
        assert_eq!(reason(create(who, &root, "other", &[]).await), hidden, "{}", who.email);
        assert_eq!(reason(update(who, role.clone(), &["invitable"]).await), refused);
        assert_eq!(reason(super::delete(who, &role.id, "").await), refused, "{}", who.email);
    }
}

async fn what_is_wrong_with_a_new_role_is_named_at_once(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let child = stage.organisation(&owner, "Child 1", &root).await;
    let wrong = CreateRoleRequest {
        organisation_id: child.clone(),
        key: "1st".to_owned(),
        display_name: "a\u{202e}b".to_owned(),
        permissions: vec!["members.read".to_owned(), "members.fly".to_owned()],
        request_id: "7".to_owned(),
        ..Default::default()
    };
    let named = violations(owner.roles().create_role(wrong.clone()).await);
    let expected = ["key", "display_name", "permissions[1]", "organisation_id", "request_id"];
    assert_eq!(named, expected);
    // Whether an organisation is a root is not for everybody.
    let stranger = stage.person("eve@example.com");
    let named = violations(stranger.roles().create_role(wrong.clone()).await);
    assert_eq!(named, ["key", "display_name", "permissions[1]", "request_id"]);
    for application_id in ["", &root] {
        let organisation_id = application_id.to_owned();
        let application_id = application_id.to_owned();
        let both = CreateRoleRequest {
            organisation_id,
            application_id,
            key: "x".to_owned(),
            ..Default::default()
        };
        assert_eq!(violations(owner.roles().create_role(both).await), ["organisation_id"]);
    }
}

async fn a_key_is_one_roles_without_regard_to_case(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let (other, other_root) = stage.root("XYZ").await;
    create(&owner, &root, "Teacher", &[]).await.unwrap();
    for taken in ["teacher", "TEACHER", "Owner", "admin", "SUPPORT"] {
        assert_eq!(reason(create(&owner, &root, taken, &[]).await), "ROLE_EXISTS", "{taken}");
    }
    create(&other, &other_root, "teacher", &[]).await.unwrap();
}

async fn an_update_changes_what_it_names_and_holders_have_it_at_once(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let role = create(&owner, &root, "teacher", &["organisations.read"]).await.unwrap();
    let ada = stage.member("ada@example.com", &root, &["teacher"]).await;
    let wanted = Role {
        display_name: "Teachers".to_owned(),
        permissions: vec!["members.read".to_owned(), "organisations.read".to_owned()],
        invitable: true,
        ..role.clone()
    };
    let changed = update(&owner, wanted.clone(), &["permissions"]).await.unwrap();
    assert_eq!(changed.permissions, ["organisations.read", "members.read"]);
    assert_eq!((&*changed.display_name, changed.invitable), ("teacher", false));
    assert!(stage.allows(&ada, &root, "members.read").await);
    assert_eq!(reason(update(&owner, wanted.clone(), &["invitable"]).await), "ETAG_MISMATCH");
    let fresh = Role { etag: changed.etag, ..wanted };
    let changed = update(&owner, fresh.clone(), &["invitable", "display_name"]).await.unwrap();
    assert_eq!((&*changed.display_name, changed.invitable), ("Teachers", true));
    let none = Role { permissions: Vec::new(), etag: String::new(), ..fresh };
    update(&owner, none.clone(), &["permissions"]).await.unwrap();
    assert!(!stage.allows(&ada, &root, "organisations.read").await);

    for paths in [&[][..], &["key"], &["permissions", "built_in"]] {
        assert_eq!(violations(update(&owner, none.clone(), paths).await), ["update_mask"]);
    }
    let built_in = Role { id: BuiltIn::User.id().to_string(), ..none };
    assert_eq!(reason(update(&owner, built_in.clone(), &["invitable"]).await), "ROLE_BUILT_IN");
    assert_eq!(reason(super::delete(&owner, &built_in.id, "").await), "ROLE_BUILT_IN");
}

async fn an_applications_roles_are_its_managers_to_make(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let child = stage.organisation(&owner, "Child 1", &root).await;
    let application = crate::organisations::tests::stage_application(&stage, &root).await;
    let request = CreateRoleRequest {
        application_id: application.to_string(),
        // An application may call its roles what it likes.
        key: "admin".to_owned(),
        ..Default::default()
    };
    let member = stage.member("user@example.com", &child, &["user"]).await;
    let stranger = stage.person("eve@example.com");
    for (who, why) in [(&member, "PERMISSION_MISSING"), (&stranger, "APPLICATION_NOT_FOUND")] {
        let refused = who.roles().create_role(request.clone()).await;
        assert_eq!(reason(refused), why);
    }
    let wrong =
        CreateRoleRequest { permissions: vec!["members.read".to_owned()], ..request.clone() };
    assert_eq!(violations(owner.roles().create_role(wrong).await), ["permissions"]);
    let made = owner.roles().create_role(request).await.unwrap().into_inner().role.unwrap();
    assert_eq!((&*made.organisation_id, &*made.application_id), ("", &*application.to_string()));
    let wrong = Role { permissions: vec!["members.read".to_owned()], ..made };
    assert_eq!(violations(update(&owner, wrong, &["permissions"]).await), ["role.permissions"]);
    // Whoever can use the application reads its roles.
    let list = ListRolesRequest { application_id: application.to_string(), ..Default::default() };
    let roles = member.roles().list_roles(list.clone()).await.unwrap().into_inner().roles;
    assert_eq!(roles.iter().map(|role| &*role.key).collect::<Vec<_>>(), ["reader", "admin"]);
    assert_eq!(reason(stranger.roles().list_roles(list).await), "APPLICATION_NOT_FOUND");
}
