use api::organisation::v1::*;
use kernel::{Duration, fold};
use testkit::Bench;

use super::*;
use crate::testing::{Stage, reason, violations};

testkit::on_both_databases!(
    members_and_those_invited_come_in_one_order,
    a_list_is_narrowed_by_state_role_and_beginning,
    everybody_lists_their_own_memberships,
);

/// Ada, Bea and Cid, in another order; Abe and Bob were invited.
async fn set(bench: Bench) -> (Stage, Who, String) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC").await;
    let child = stage.organisation(&owner, "Child", &root).await;
    for (name, roles) in [("cid", &["user"][..]), ("ada", &["admin", "user"]), ("bea", &["user"])] {
        stage.pass(Duration::milliseconds(5));
        stage.member(&format!("{name}@example.com"), &child, roles).await;
        if name == "ada" {
            invite(&owner, &child, "Bob").await;
        }
    }
    invite(&owner, &child, "Abe").await;
    // Who is a member is listed as that, whatever else is offered to them.
    invite(&owner, &child, "Cid").await;
    (stage, owner, child)
}

async fn invite(by: &Who, organisation: &str, name: &str) {
    let role = if name == "Cid" { "admin" } else { "user" };
    let request = CreateInvitationRequest {
        organisation_id: organisation.to_owned(),
        email: format!("{}@example.com", fold(name)),
        display_name: name.to_owned(),
        roles: keys(&[role]),
        ..Default::default()
    };
    by.invitations().create_invitation(request).await.unwrap();
}

/// The first letters of the addresses, over all pages of a size.
async fn pages(by: &Who, size: i32, request: &ListMembershipsRequest) -> Vec<String> {
    let mut names = Vec::new();
    let mut request = ListMembershipsRequest { page_size: size, ..request.clone() };
    loop {
        let answer = by.memberships().list_memberships(request.clone()).await.unwrap().into_inner();
        assert!(answer.memberships.len() <= usize::try_from(size).unwrap());
        names.extend(answer.memberships.iter().map(|it| it.email[..3].to_owned()));
        request.page_token = answer.next_page_token;
        if request.page_token.is_empty() {
            return names;
        }
    }
}

async fn members_and_those_invited_come_in_one_order(bench: Bench) {
    let (_stage, owner, child) = set(bench).await;
    for (order_by, expected) in [
        ("", ["cid", "ada", "bob", "bea", "abe"]),
        ("created_at desc", ["abe", "bea", "bob", "ada", "cid"]),
        ("display_name", ["abe", "ada", "bea", "bob", "cid"]),
        ("display_name desc", ["cid", "bob", "bea", "ada", "abe"]),
    ] {
        let request = ListMembershipsRequest {
            organisation_id: child.clone(),
            order_by: order_by.to_owned(),
            ..Default::default()
        };
        for size in [1, 2, 5, 100] {
            assert_eq!(pages(&owner, size, &request).await, expected, "{order_by} by {size}");
        }
    }
}

async fn a_list_is_narrowed_by_state_role_and_beginning(bench: Bench) {
    use MembershipState::{Active, Expired, Invited, NotYetValid, Suspended, Unspecified};
    let (stage, owner, child) = set(bench).await;
    let bea = stage.person("bea@example.com");
    suspend(&owner, &child, &bea).await.unwrap();
    let dan = stage.member("dan@example.com", &child, &["approver"]).await;
    let begins = Some(api::timestamp(stage.now() + Duration::days(1)));
    let later = Membership { valid_from: begins, ..Default::default() };
    update(&owner, &child, &dan, later, &["valid_from"]).await.unwrap();
    for (state, role, query, expected) in [
        (Active, "", "", &["ada", "cid"][..]),
        (Suspended, "", "", &["bea"]),
        (NotYetValid, "", "", &["dan"]),
        (Expired, "", "", &[]),
        (Invited, "", "", &["abe", "bob"]),
        (Unspecified, "USER", "", &["abe", "ada", "bea", "bob", "cid"]),
        (Unspecified, "admin", "", &["ada"]),
        (Invited, "admin", "", &[]),
        (Unspecified, "user", " B", &["bea", "bob"]),
        (Suspended, "user", "b", &["bea"]),
        (Unspecified, "", "Bob@", &["bob"]),
        (Unspecified, "", "BEA@example", &["bea"]),
        (Unspecified, "", "%@", &[]),
    ] {
        for order_by in ["display_name", ""] {
            let request = ListMembershipsRequest {
                organisation_id: child.clone(),
                state: state.into(),
                role: role.to_owned(),
                query: query.to_owned(),
                order_by: order_by.to_owned(),
                ..Default::default()
            };
            let mut names = pages(&owner, 2, &request).await;
            names.sort();
            assert_eq!(names, expected, "{state:?} {role} {query} {order_by}");
        }
    }
    // An offer that has run out is none.
    stage.pass(Duration::days(3));
    let owner = stage.person(&owner.email);
    let request = ListMembershipsRequest {
        organisation_id: child.clone(),
        state: Invited.into(),
        ..Default::default()
    };
    assert!(pages(&owner, 5, &request).await.is_empty());
    let request = ListMembershipsRequest {
        organisation_id: child.clone(),
        state: 99,
        role: "unheard-of".to_owned(),
        order_by: "email".to_owned(),
        ..Default::default()
    };
    let answer = owner.memberships().list_memberships(request).await;
    assert_eq!(violations(answer), ["order_by", "state", "role"]);
}

async fn everybody_lists_their_own_memberships(bench: Bench) {
    let (stage, owner, child) = set(bench).await;
    let ada = stage.person("ada@example.com");
    let (_, other) = stage.root("XYZ").await;
    stage.member("ada@example.com", &other, &["user"]).await;
    suspend(&owner, &child, &ada).await.unwrap();
    let own = async |by: &Who, of: &str, token: &str| {
        let request = ListSubjectMembershipsRequest {
            user_id: of.to_owned(),
            page_size: 1,
            page_token: token.to_owned(),
        };
        Ok::<_, Status>(by.memberships().list_subject_memberships(request).await?.into_inner())
    };
    let first = own(&ada, "", "").await.unwrap();
    assert_eq!(first.memberships[0].organisation_id, child);
    assert_eq!(first.memberships[0].roles, ["admin", "user"]);
    let second = own(&ada, "", &first.next_page_token).await.unwrap();
    assert_eq!(second.memberships[0].organisation_id, other);
    assert_eq!(second.next_page_token, "");
    let id = ada.id.to_string();
    assert_eq!(reason(own(&owner, &id, "").await), "SCOPE_MISSING");
    let checker = stage.account("checker", "permissions.check");
    assert_eq!(own(&checker, &id, "").await.unwrap(), first);
}
