use api::organisation::v1::*;
use kernel::Uuid;
use prost_types::FieldMask;
use sea_orm::{ActiveModelTrait as _, ActiveValue::Set, EntityTrait as _, IntoActiveModel as _};
use testkit::Bench;

use crate::{
    entity::{access_request, application, application_access, invitation, role},
    testing::{Stage, Who, reason, violations},
};

testkit::on_both_databases!(
    the_callback_secret_is_answered_once_and_never_stored,
    a_rotated_secret_is_another_one,
    what_a_browser_would_have_to_mend_is_no_redirect_url,
    a_redirect_url_is_kept_to_the_character,
    t10_an_application_is_used_where_it_may_be_and_nowhere_else,
    only_a_manager_changes_an_application_and_only_what_the_mask_names,
    the_default_role_is_one_of_the_application,
    access_is_for_members_and_set_anew_at_each_grant,
    a_service_account_gives_invitable_roles_alone,
    what_is_withdrawn_twice_is_withdrawn_once,
    pages_of_access_follow_the_order_of_joining,
    whoever_leaves_an_organisation_leaves_its_applications,
    nothing_names_an_application_that_was_removed,
);

fn id(text: &str) -> Uuid {
    text.parse().unwrap()
}

fn new(organisation: &str) -> CreateApplicationRequest {
    CreateApplicationRequest {
        organisation_id: organisation.to_owned(),
        display_name: "Payroll".to_owned(),
        redirect_urls: vec!["https://payroll.example.com/welcome".to_owned()],
        ..Default::default()
    }
}

async fn create(by: &Who, organisation: &str) -> Application {
    let answer = by.applications().create_application(new(organisation)).await;
    answer.unwrap().into_inner().application.unwrap()
}

/// One more role of an application.
async fn add_role(stage: &Stage, application: &str, key: &str, invitable: bool) {
    let database = stage.service.database.read();
    let default = role::of_application(id(application)).one(database).await.unwrap().unwrap();
    let row = role::Model {
        id: stage.service.clock.new_id(),
        key: key.to_owned(),
        folded_key: key.to_owned(),
        invitable,
        ..default
    };
    role::Entity::insert(row.into_active_model()).exec_without_returning(database).await.unwrap();
}

fn grant(
    application: &str,
    organisation: &str,
    to: &Who,
    roles: &[&str],
) -> GrantApplicationAccessRequest {
    GrantApplicationAccessRequest {
        application_id: application.to_owned(),
        organisation_id: organisation.to_owned(),
        user_id: to.id.to_string(),
        roles: roles.iter().map(|&role| role.to_owned()).collect(),
        request_id: String::new(),
    }
}

fn withdrawal(application: &str, organisation: &str, of: &Who) -> WithdrawApplicationAccessRequest {
    WithdrawApplicationAccessRequest {
        application_id: application.to_owned(),
        organisation_id: organisation.to_owned(),
        user_id: of.id.to_string(),
        request_id: String::new(),
    }
}

fn access_to(application: &str, organisation: &str) -> ListApplicationAccessRequest {
    ListApplicationAccessRequest {
        application_id: application.to_owned(),
        organisation_id: organisation.to_owned(),
        ..Default::default()
    }
}

async fn the_callback_secret_is_answered_once_and_never_stored(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let request_id = stage.service.clock.new_id().to_string();
    let request = CreateApplicationRequest { request_id, ..new(&root) };
    let first = owner.applications().create_application(request.clone()).await;
    let first = first.unwrap().into_inner();
    let secret = first.callback_secret.strip_prefix("whsec_").unwrap();
    assert_eq!(secret.len(), 44, "32 bytes in base64");
    let again = owner.applications().create_application(request).await.unwrap().into_inner();
    assert_eq!(again.application, first.application);
    assert_eq!(again.callback_secret, "");
    let created = first.application.unwrap();
    assert_eq!(created.default_role, "user");
    let row = application::Entity::find_by_id(id(&created.id));
    let row = row.one(stage.service.database.read()).await.unwrap().unwrap();
    assert_eq!(row.callback_secret(&stage.service.callback_key), first.callback_secret);
}

async fn a_rotated_secret_is_another_one(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let answer = owner.applications().create_application(new(&root)).await.unwrap().into_inner();
    let (created, first) = (answer.application.unwrap(), answer.callback_secret);
    let request_id = stage.service.clock.new_id().to_string();
    let request = RotateCallbackSecretRequest { id: created.id, request_id };
    let rotated = owner.applications().rotate_callback_secret(request.clone()).await;
    let rotated = rotated.unwrap().into_inner().callback_secret;
    assert!(rotated.starts_with("whsec_") && rotated != first);
    let again = owner.applications().rotate_callback_secret(request).await.unwrap().into_inner();
    assert_eq!(again.callback_secret, "");
}

async fn what_a_browser_would_have_to_mend_is_no_redirect_url(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let long = format!("https://a.example/{}", "x".repeat(2_000));
    let urls = [
        "http://payroll.example.com/",
        "https://payroll.example.com/#top",
        "https://payroll.example.com/#",
        "https://ada@payroll.example.com/",
        "https://ada:secret@payroll.example.com/",
        "https://@payroll.example.com/",
        "https:payroll.example.com",
        "https:/\\payroll.example.com",
        "https://payroll.example.com/a\tb",
        "https://payroll.example.com/a\nhttps://evil.example",
        " https://payroll.example.com/",
        "/welcome",
        "//payroll.example.com/",
        "javascript:alert(1)",
        "http://127.0.0.1.evil.example/",
        "http://localhost.evil.example/",
        "https://",
        &long,
    ];
    let hosts = ["https://a.example", "a.example/x", "a b", "ada@a.example", "a.example:99999", ""];
    let expected: Vec<_> = (0..urls.len())
        .map(|index| format!("redirect_urls[{index}]"))
        .chain((0..hosts.len()).map(|index| format!("callback_hosts[{index}]")))
        .collect();
    let request = CreateApplicationRequest {
        redirect_urls: urls.map(str::to_owned).to_vec(),
        callback_hosts: hosts.map(str::to_owned).to_vec(),
        ..new(&root)
    };
    assert_eq!(violations(owner.applications().create_application(request).await), expected);
    let request = CreateApplicationRequest {
        redirect_urls: (0..21).map(|n| format!("https://a.example/{n}")).collect(),
        callback_hosts: (0..21).map(|n| format!("{n}.example")).collect(),
        display_name: String::new(),
        default_role: "not a key".to_owned(),
        ..new(&root)
    };
    assert_eq!(
        violations(owner.applications().create_application(request).await),
        ["display_name", "redirect_urls", "callback_hosts", "default_role"]
    );
}

async fn a_redirect_url_is_kept_to_the_character(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let urls = ["https://Payroll.Example.com", "http://localhost:3000/a?b=c", "http://127.0.0.1/x"];
    let request = CreateApplicationRequest {
        redirect_urls: urls.map(str::to_owned).to_vec(),
        callback_hosts: ["Hooks.Example.com", "hooks.example.com:443", "127.0.0.1:8080"]
            .map(str::to_owned)
            .to_vec(),
        ..new(&root)
    };
    let created = owner.applications().create_application(request).await.unwrap().into_inner();
    let created = created.application.unwrap();
    assert_eq!(created.redirect_urls, urls);
    assert_eq!(created.callback_hosts, ["hooks.example.com", "127.0.0.1:8080"]);
}

async fn t10_an_application_is_used_where_it_may_be_and_nowhere_else(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (abc, root) = stage.root("ABC Holdings").await;
    let child = stage.organisation(&abc, "Child 1", &root).await;
    let sibling = stage.organisation(&abc, "Child 2", &root).await;
    let (xyz, other) = stage.root("XYZ").await;
    let of_child = create(&abc, &child).await;
    let member = stage.member("ada@example.com", &other, &["user"]).await;
    let random = stage.service.clock.new_id().to_string();
    for application in [&of_child.id, &random] {
        let mut client = xyz.applications();
        // Authorised at the organisation that is named, for an application of another one.
        let refused = [
            reason(client.grant_application_access(grant(application, &other, &member, &[])).await),
            reason(
                client.withdraw_application_access(withdrawal(application, &other, &member)).await,
            ),
            reason(client.list_application_access(access_to(application, &other)).await),
            reason(client.get_application(GetApplicationRequest { id: application.clone() }).await),
            reason(
                client
                    .remove_application(RemoveApplicationRequest {
                        id: application.clone(),
                        request_id: String::new(),
                    })
                    .await,
            ),
            reason(
                client
                    .rotate_callback_secret(RotateCallbackSecretRequest {
                        id: application.clone(),
                        request_id: String::new(),
                    })
                    .await,
            ),
            reason(client.update_application(renaming(application, "Mine")).await),
        ];
        assert_eq!(refused, ["APPLICATION_NOT_FOUND"; 7], "{application}");
        // The organisation of the application is not the caller's.
        let refused =
            reason(client.grant_application_access(grant(application, &child, &member, &[])).await);
        assert_eq!(refused, "ORGANISATION_NOT_FOUND");
    }
    // Below its own organisation, and not beside it or above.
    let usable = async |organisation: &str| {
        let request = ListApplicationsRequest {
            organisation_id: organisation.to_owned(),
            ..Default::default()
        };
        let listed = abc.applications().list_applications(request).await.unwrap().into_inner();
        listed.applications.into_iter().map(|it| it.id).collect::<Vec<_>>()
    };
    assert_eq!(usable(&child).await, std::slice::from_ref(&of_child.id));
    assert!(usable(&sibling).await.is_empty() && usable(&root).await.is_empty());
    let of_root = create(&abc, &root).await;
    assert_eq!(usable(&child).await, [of_child.id, of_root.id.clone()]);
    // Whoever reads a child sees the root's application, and not its organisation.
    let below = stage.member("below@example.com", &sibling, &["admin"]).await;
    let get = GetApplicationRequest { id: of_root.id.clone() };
    assert_eq!(reason(below.applications().get_application(get).await), "OK");
    let refused = below.applications().update_application(renaming(&of_root.id, "Mine")).await;
    assert_eq!(reason(refused), "PERMISSION_MISSING");
}

fn renaming(application: &str, name: &str) -> UpdateApplicationRequest {
    UpdateApplicationRequest {
        application: Some(Application {
            id: application.to_owned(),
            display_name: name.to_owned(),
            ..Default::default()
        }),
        update_mask: Some(FieldMask { paths: vec!["display_name".to_owned()] }),
        request_id: String::new(),
    }
}

async fn only_a_manager_changes_an_application_and_only_what_the_mask_names(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let created = create(&owner, &root).await;
    let user = stage.member("ada@example.com", &root, &["approver"]).await;
    let mut update = renaming(&created.id, "Wages");
    let refused = user.applications().update_application(update.clone()).await;
    assert_eq!(reason(refused), "PERMISSION_MISSING");
    assert_eq!(
        reason(user.applications().create_application(new(&root)).await),
        "PERMISSION_MISSING"
    );
    update.application.as_mut().unwrap().etag = created.etag.clone();
    let renamed = owner.applications().update_application(update.clone()).await;
    let renamed = renamed.unwrap().into_inner().application.unwrap();
    assert_eq!(renamed.display_name, "Wages");
    assert_eq!(renamed.redirect_urls, created.redirect_urls);
    assert_ne!(renamed.etag, created.etag);
    let stale = owner.applications().update_application(update.clone()).await;
    assert_eq!(reason(stale), "ETAG_MISMATCH");
    update.update_mask = Some(FieldMask { paths: vec!["organisation_id".to_owned()] });
    assert_eq!(violations(owner.applications().update_application(update).await), ["update_mask"]);
}

async fn the_default_role_is_one_of_the_application(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let (created, other) = (create(&owner, &root).await, create(&owner, &root).await);
    add_role(&stage, &other.id, "clerk", false).await;
    let update = async |role: &str| {
        let mut update = renaming(&created.id, "Payroll");
        update.application.as_mut().unwrap().default_role = role.to_owned();
        update.update_mask = Some(FieldMask { paths: vec!["default_role".to_owned()] });
        owner.applications().update_application(update).await
    };
    for foreign in ["clerk", "admin"] {
        assert_eq!(violations(update(foreign).await), ["application.default_role"], "{foreign}");
    }
    add_role(&stage, &created.id, "clerk", false).await;
    let updated = update("Clerk").await.unwrap().into_inner().application.unwrap();
    assert_eq!(updated.default_role, "clerk");
}

async fn access_is_for_members_and_set_anew_at_each_grant(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let child = stage.organisation(&owner, "Child 1", &root).await;
    let created = create(&owner, &root).await;
    add_role(&stage, &created.id, "clerk", false).await;
    let ada = stage.member("ada@example.com", &child, &["user"]).await;
    let mut client = owner.applications();
    // A member of the child is none of the root.
    let refused = client.grant_application_access(grant(&created.id, &root, &ada, &[])).await;
    assert_eq!(reason(refused), "MEMBER_REQUIRED");
    let refused = client
        .grant_application_access(grant(&created.id, &child, &ada, &["nobody", "admin"]))
        .await;
    assert_eq!(violations(refused), ["roles[0]", "roles[1]"]);
    let refused =
        ada.applications().grant_application_access(grant(&created.id, &child, &ada, &[])).await;
    assert_eq!(reason(refused), "PERMISSION_MISSING");
    let granted = client.grant_application_access(grant(&created.id, &child, &ada, &[])).await;
    let granted = granted.unwrap().into_inner().access.unwrap();
    assert_eq!(
        (granted.roles, granted.email.as_str()),
        (vec!["user".to_owned()], "ada@example.com")
    );
    client.grant_application_access(grant(&created.id, &child, &ada, &["clerk"])).await.unwrap();
    let listed = client.list_application_access(access_to(&created.id, &child)).await.unwrap();
    let listed = listed.into_inner().access;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].roles, ["clerk"], "the roles are set anew");
}

async fn a_service_account_gives_invitable_roles_alone(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let created = create(&owner, &root).await;
    add_role(&stage, &created.id, "guest", true).await;
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    let account = stage.account("dashboard", "");
    stage.grant(&account, id(&root), &["admin"]).await;
    let mut client = account.applications();
    // Source 000: no service by default over the API.
    for roles in [&[][..], &["user"], &["guest", "user"]] {
        let refused = client.grant_application_access(grant(&created.id, &root, &ada, roles)).await;
        assert_eq!(reason(refused), "ROLE_NOT_INVITABLE", "{roles:?}");
    }
    let granted =
        client.grant_application_access(grant(&created.id, &root, &ada, &["guest"])).await;
    assert_eq!(reason(granted), "OK");
}

async fn what_is_withdrawn_twice_is_withdrawn_once(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let created = create(&owner, &root).await;
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    let mut client = owner.applications();
    client.grant_application_access(grant(&created.id, &root, &ada, &[])).await.unwrap();
    let refused =
        ada.applications().withdraw_application_access(withdrawal(&created.id, &root, &ada)).await;
    assert_eq!(reason(refused), "PERMISSION_MISSING");
    for _ in 0..2 {
        client.withdraw_application_access(withdrawal(&created.id, &root, &ada)).await.unwrap();
    }
    let listed = client.list_application_access(access_to(&created.id, &root)).await.unwrap();
    assert!(listed.into_inner().access.is_empty());
}

async fn pages_of_access_follow_the_order_of_joining(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let created = create(&owner, &root).await;
    let mut expected = Vec::new();
    for n in 0..5 {
        let member = stage.member(&format!("m{n}@example.com"), &root, &["user"]).await;
        // One of them has no access.
        if n != 2 {
            let request = grant(&created.id, &root, &member, &[]);
            owner.applications().grant_application_access(request).await.unwrap();
            expected.push(member.email);
        }
    }
    let mut request =
        ListApplicationAccessRequest { page_size: 3, ..access_to(&created.id, &root) };
    let mut listed = Vec::new();
    loop {
        let page = owner.applications().list_application_access(request.clone()).await;
        let page = page.unwrap().into_inner();
        listed.extend(page.access.into_iter().map(|access| access.email));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(listed, expected);
    let user = stage.person("m0@example.com");
    let refused = user.applications().list_application_access(access_to(&created.id, &root)).await;
    assert_eq!(reason(refused), "PERMISSION_MISSING");
}

async fn whoever_leaves_an_organisation_leaves_its_applications(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let created = create(&owner, &root).await;
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    let request = grant(&created.id, &root, &ada, &[]);
    owner.applications().grant_application_access(request).await.unwrap();
    let database = stage.service.database.read();
    let gone = crate::entity::membership::Entity::delete_by_id((ada.id, id(&root)));
    gone.exec(database).await.unwrap();
    let left = application_access::of(ada.id, id(&root), id(&created.id)).all(database).await;
    assert!(left.unwrap().is_empty());
}

async fn nothing_names_an_application_that_was_removed(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let created = create(&owner, &root).await;
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    let eve = stage.member("eve@example.com", &root, &["user"]).await;
    let request = grant(&created.id, &root, &eve, &[]);
    owner.applications().grant_application_access(request).await.unwrap();
    let request = CreateAccessRequestRequest {
        organisation_id: root.clone(),
        application_id: created.id.clone(),
        ..Default::default()
    };
    let asked = ada.access_requests().create_access_request(request).await.unwrap().into_inner();
    let asked = asked.access_request.unwrap();
    let request = CreateInvitationRequest {
        organisation_id: root.clone(),
        email: "bob@example.com".to_owned(),
        ..Default::default()
    };
    let invited = owner.invitations().create_invitation(request).await.unwrap().into_inner();
    let invited = id(&invited.invitation.unwrap().id);
    let database = stage.service.database.read();
    let named = invitation::ActiveModel {
        id: Set(invited),
        application_id: Set(Some(id(&created.id))),
        callback_url: Set("https://payroll.example.com/invited".to_owned()),
        ..Default::default()
    };
    named.update(database).await.unwrap();

    let remove = RemoveApplicationRequest { id: created.id.clone(), request_id: String::new() };
    let refused = eve.applications().remove_application(remove.clone()).await;
    assert_eq!(reason(refused), "PERMISSION_MISSING");
    owner.applications().remove_application(remove.clone()).await.unwrap();
    let again = owner.applications().remove_application(remove).await;
    assert_eq!(reason(again), "APPLICATION_NOT_FOUND");
    let left = application_access::Entity::find().all(database).await.unwrap();
    assert!(left.is_empty());
    let settled = access_request::Entity::find_by_id(id(&asked.id)).one(database).await.unwrap();
    assert_eq!(settled.unwrap().state, access_request::State::Withdrawn);
    let invited = invitation::Entity::find_by_id(invited).one(database).await.unwrap().unwrap();
    assert_eq!((invited.application_id, invited.callback_url.as_str()), (None, ""));
}
