use api::organisation::v1::*;
use kernel::{Duration, Uuid};
use sea_orm::{EntityTrait as _, QueryFilter as _, sea_query::Expr};
use testkit::Bench;

use super::*;
use crate::{
    domain::{permission::Permissions, role::BuiltIn},
    entity::{membership, organisation},
    testing::{Stage, reason},
};

testkit::on_both_databases!(
    t10_rights_in_one_organisation_reach_nobody_of_another,
    t11_nobody_raises_themselves,
    t11_nobody_resumes_themselves,
    t11_nobody_gives_what_they_lack,
    t11_whose_time_ends_does_not_prolong_it,
    t12_only_an_active_membership_sees,
);

const ROLES: [BuiltIn; 4] = [BuiltIn::Owner, BuiltIn::Admin, BuiltIn::Approver, BuiltIn::User];

async fn permissions(stage: &Stage, who: &Who, organisation: &str) -> Permissions {
    let (database, id) = (stage.service.database.read(), organisation.parse().unwrap());
    membership::rights(database, who.id, id, stage.now()).await.unwrap().permissions()
}

async fn t10_rights_in_one_organisation_reach_nobody_of_another(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (eve, own) = stage.root("Own").await;
    let (owner, other) = stage.root("Other").await;
    let bob = stage.member("bob@example.com", &other, &["user"]).await;
    suspend(&owner, &other, &bob).await.unwrap();
    let before = get(&owner, &other, &bob).await.unwrap();
    let later = Some(api::timestamp(stage.now() + Duration::days(1)));
    let listed = ListMembershipsRequest { organisation_id: other.clone(), ..Default::default() };
    for (rpc, refused) in [
        ("create", reason(create(&eve, &other, &bob, &["user"]).await)),
        ("create mine", reason(create(&eve, &other, &eve, &["owner"]).await)),
        ("get", reason(get(&eve, &other, &bob).await)),
        ("list", reason(list(&eve, listed).await)),
        ("update", reason(set_end(&eve, &other, &bob, later).await)),
        ("suspend", reason(suspend(&eve, &other, &bob).await)),
        ("resume", reason(resume(&eve, &other, &bob).await)),
        ("remove", reason(remove(&eve, &other, &bob).await)),
        ("explain", explain(&eve, &other, &bob).await),
    ] {
        assert_eq!(refused, "ORGANISATION_NOT_FOUND", "{rpc}");
    }
    // The other's member, named with one's own organisation.
    for (rpc, refused) in [
        ("get", reason(get(&eve, &own, &bob).await)),
        ("update", reason(set_end(&eve, &own, &bob, later).await)),
        ("suspend", reason(suspend(&eve, &own, &bob).await)),
        ("resume", reason(resume(&eve, &own, &bob).await)),
    ] {
        assert_eq!(refused, "MEMBERSHIP_NOT_FOUND", "{rpc}");
    }
    remove(&eve, &own, &bob).await.unwrap();
    assert_eq!(explain(&eve, &own, &bob).await, "no membership");
    for (rpc, refused) in [
        ("list_own", list_subject(&eve, &bob).await),
        ("check", check(&eve, &other, &bob).await),
        ("batch_check", batch_check(&eve, &other, &bob).await),
        ("list_permitted", list_permitted(&eve, &bob).await),
    ] {
        assert_eq!(refused, "SCOPE_MISSING", "{rpc}");
    }
    assert_eq!(get(&owner, &other, &bob).await.unwrap(), before);
}

async fn list_subject(by: &Who, whom: &Who) -> String {
    let user_id = whom.id.to_string();
    let request = ListSubjectMembershipsRequest { user_id, ..Default::default() };
    reason(by.memberships().list_subject_memberships(request).await)
}

fn checked(organisation: &str, whom: &Who) -> CheckPermissionRequest {
    CheckPermissionRequest {
        subject_id: whom.id.to_string(),
        organisation_id: organisation.to_owned(),
        permission: "organisations.read".to_owned(),
    }
}

async fn check(by: &Who, organisation: &str, whom: &Who) -> String {
    reason(by.permissions().check_permission(checked(organisation, whom)).await)
}

async fn batch_check(by: &Who, organisation: &str, whom: &Who) -> String {
    let request = BatchCheckPermissionsRequest { checks: vec![checked(organisation, whom)] };
    reason(by.permissions().batch_check_permissions(request).await)
}

async fn list_permitted(by: &Who, whom: &Who) -> String {
    let request = ListPermittedOrganisationsRequest {
        subject_id: whom.id.to_string(),
        permission: "organisations.read".to_owned(),
        ..Default::default()
    };
    reason(by.permissions().list_permitted_organisations(request).await)
}

async fn explain(by: &Who, organisation: &str, whom: &Who) -> String {
    let CheckPermissionRequest { subject_id, organisation_id, permission } =
        checked(organisation, whom);
    let request = ExplainPermissionRequest { subject_id, organisation_id, permission };
    match by.permissions().explain_permission(request).await {
        Ok(answer) if answer.get_ref().missing() == Missing::Membership => {
            assert_eq!(answer.into_inner().grounds, None);
            "no membership".to_owned()
        }
        answer => reason(answer),
    }
}

async fn t11_nobody_raises_themselves(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    let child = stage.organisation(&owner, "Child", &root).await;
    for has in ROLES {
        let email = format!("{}@example.com", has.key());
        for wanted in ROLES {
            let who = stage.member(&email, &root, &[has.key()]).await;
            let before = permissions(&stage, &who, &root).await;
            for answer in [
                create(&who, &child, &who, &[wanted.key()]).await,
                create(&who, &root, &who, &[wanted.key()]).await,
                set_roles(&who, &root, &who, &[has.key(), wanted.key()]).await,
                set_roles(&who, &root, &who, &[wanted.key()]).await,
                resume(&who, &root, &who).await,
            ] {
                let now = permissions(&stage, &who, &root).await;
                assert!(now.is_subset_of(before), "{has:?} became {wanted:?}: {answer:?}");
                let below = permissions(&stage, &who, &child).await;
                assert!(below.is_subset_of(before), "{has:?} became {wanted:?}: {answer:?}");
            }
            remove(&owner, &root, &who).await.unwrap();
        }
    }
}

/// Whatever they hold above, where they were suspended others resume them.
async fn t11_nobody_resumes_themselves(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    let child = stage.organisation(&owner, "Child", &root).await;
    let ada = stage.member("ada@example.com", &root, &["owner"]).await;
    stage.grant(&ada, child.parse().unwrap(), &["user"]).await;
    suspend(&owner, &child, &ada).await.unwrap();
    assert_eq!(reason(resume(&ada, &child, &ada).await), "GRANT_CEILING_EXCEEDED");
    let state = get(&owner, &child, &ada).await.unwrap().state();
    assert_eq!(state, MembershipState::Suspended);
    resume(&owner, &child, &ada).await.unwrap();
}

async fn t11_nobody_gives_what_they_lack(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    for has in ROLES {
        let giver = stage.member("giver@example.com", &root, &[has.key()]).await;
        let held = permissions(&stage, &giver, &root).await;
        for of in ROLES {
            for given in ROLES {
                let ada = stage.member("ada@example.com", &root, &[of.key()]).await;
                let answer = set_roles(&giver, &root, &ada, &[given.key()]).await;
                let reaches = [of, given].iter().all(|it| it.permissions().is_subset_of(held));
                let may = reaches && [BuiltIn::Owner, BuiltIn::Admin].contains(&has);
                assert_eq!(answer.is_ok(), may, "{has:?} makes {of:?} {given:?}: {answer:?}");
                remove(&owner, &root, &ada).await.unwrap();
            }
        }
        remove(&owner, &root, &giver).await.unwrap();
    }
}

async fn t11_whose_time_ends_does_not_prolong_it(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    let child = stage.organisation(&owner, "Child", &root).await;
    let ada = stage.member("ada@example.com", &root, &["admin"]).await;
    let day = |days| Some(api::timestamp(stage.now() + Duration::days(days)));
    set_end(&owner, &root, &ada, day(2)).await.unwrap();
    for later in [day(3), None] {
        let answer = set_end(&ada, &root, &ada, later).await;
        assert_eq!(reason(answer), "GRANT_CEILING_EXCEEDED");
    }
    // Nor by a membership beside it.
    let answer = create(&ada, &child, &ada, &["admin"]).await;
    assert_eq!(reason(answer), "GRANT_CEILING_EXCEEDED");
    set_end(&ada, &root, &ada, day(1)).await.unwrap();
}

/// What somebody sees through each read, of an organisation and its owner.
async fn sights(
    who: &Who,
    organisation: &str,
    owner: &Who,
    invitation: &str,
) -> Vec<(&'static str, bool)> {
    let id = organisation.to_owned();
    let members = ListMembershipsRequest { organisation_id: id.clone(), ..Default::default() };
    let invitations = ListInvitationsRequest { organisation_id: id.clone(), ..Default::default() };
    let check = CheckPermissionRequest { subject_id: String::new(), ..checked(&id, who) };
    let batch = BatchCheckPermissionsRequest { checks: vec![check.clone()] };
    let permitted = ListPermittedOrganisationsRequest {
        permission: "organisations.read".to_owned(),
        ..Default::default()
    };
    let explained = ExplainPermissionRequest {
        subject_id: owner.id.to_string(),
        organisation_id: id.clone(),
        permission: "organisations.read".to_owned(),
    };
    let of_invitation = GetInvitationRequest { id: invitation.to_owned() };
    let of_organisation = GetOrganisationRequest { id: id.clone() };
    let every = who.organisations().list_organisations(ListOrganisationsRequest::default()).await;
    let every = every.unwrap().into_inner().organisations;
    let checked = who.permissions().check_permission(check).await.unwrap().into_inner();
    let batched = who.permissions().batch_check_permissions(batch).await.unwrap().into_inner();
    let permitted = who.permissions().list_permitted_organisations(permitted).await;
    let applications =
        ListApplicationsRequest { organisation_id: id.clone(), ..Default::default() };
    let roles = ListRolesRequest { organisation_id: id.clone(), ..Default::default() };
    let requests = ListAccessRequestsRequest { organisation_id: id.clone(), ..Default::default() };
    vec![
        ("ListApplications", who.applications().list_applications(applications).await.is_ok()),
        ("ListRoles", who.roles().list_roles(roles).await.is_ok()),
        ("ListAccessRequests", who.access_requests().list_access_requests(requests).await.is_ok()),
        ("GetOrganisation", who.organisations().get_organisation(of_organisation).await.is_ok()),
        ("ListOrganisations", every.iter().any(|organisation| organisation.id == id)),
        ("GetMembership", get(who, organisation, owner).await.is_ok()),
        ("ListMemberships", list(who, members).await.is_ok()),
        ("GetInvitation", who.invitations().get_invitation(of_invitation).await.is_ok()),
        ("ListInvitations", who.invitations().list_invitations(invitations).await.is_ok()),
        ("CheckPermission", checked.allowed),
        ("BatchCheckPermissions", batched.allowed[0]),
        (
            "ListPermittedOrganisations",
            permitted.unwrap().into_inner().organisation_ids.contains(&id),
        ),
        ("ExplainPermission", who.permissions().explain_permission(explained).await.is_ok()),
    ]
}

async fn t12_only_an_active_membership_sees(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    let roles = ["approver"];
    let mut cases = Vec::new();
    for state in
        ["active", "invited", "not yet valid", "suspended", "expired", "removed", "archived"]
    {
        let child = stage.organisation(&owner, state, &root).await;
        stage.grant(&owner, child.parse().unwrap(), &["owner"]).await;
        let email = format!("{}@example.com", state.replace(' ', "-"));
        // Their own invitation is theirs to read: this is somebody else's.
        let invitation = stage.invite(&owner, &child, "eve@example.com").await;
        if state == "invited" {
            stage.invite(&owner, &child, &email).await;
        } else {
            let who = stage.member(&email, &child, &roles).await;
            let at = |hours| Some(api::timestamp(stage.now() + Duration::hours(hours)));
            let later = Membership { valid_from: at(12), ..Default::default() };
            match state {
                "not yet valid" => {
                    update(&owner, &child, &who, later, &["valid_from"]).await.unwrap();
                }
                "suspended" => drop(suspend(&owner, &child, &who).await.unwrap()),
                "expired" => drop(set_end(&owner, &child, &who, at(1)).await.unwrap()),
                "removed" => remove(&owner, &child, &who).await.unwrap(),
                "archived" => archive(&stage, &child).await,
                _ => {}
            }
        }
        cases.push((state, email, child, invitation));
    }
    stage.pass(Duration::hours(1));
    let owner = stage.person(&owner.email);
    for (state, email, child, invitation) in cases {
        let who = stage.person(&email);
        for (rpc, sees) in sights(&who, &child, &owner, &invitation).await {
            assert_eq!(sees, state == "active", "{state}: {rpc}");
        }
        // An owner from above reads all of them, an archived one too.
        let sights = sights(&owner, &child, &owner, &invitation).await;
        let reads = |(rpc, sees): &(_, bool)| *sees || *rpc == "ListOrganisations";
        assert!(sights.iter().all(reads), "{state}: {sights:?}");
    }
}

async fn archive(stage: &Stage, organisation: &str) {
    let id: Uuid = organisation.parse().unwrap();
    organisation::Entity::update_many()
        .col_expr(organisation::Column::ArchivedBy, Expr::value(id))
        .filter(sea_orm::ColumnTrait::eq(&organisation::Column::Id, id))
        .exec(stage.service.database.read())
        .await
        .unwrap();
}
