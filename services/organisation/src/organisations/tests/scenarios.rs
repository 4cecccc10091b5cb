use api::organisation::v1::*;
use prost::Message;
use testkit::Bench;
use tonic::{Response, Status};

use super::{create_role, deep, get, list, names, stage_application};
use crate::testing::{Stage, Who, reason};

testkit::on_both_databases!(
    scenario_a_of_source_002,
    scenario_b_of_source_002,
    what_a_sub_organisations_member_asks_about_root_and_siblings_answers_like_what_does_not_exist,
);

async fn invite(who: &Who, organisation: &str, email: &str) -> Result<Invitation, Status> {
    let request = CreateInvitationRequest {
        organisation_id: organisation.to_owned(),
        email: email.to_owned(),
        roles: vec!["user".to_owned()],
        ..Default::default()
    };
    Ok(who.invitations().create_invitation(request).await?.into_inner().invitation.unwrap())
}

async fn members(who: &Who, organisation: &str) -> Result<Vec<String>, Status> {
    let request =
        ListMembershipsRequest { organisation_id: organisation.to_owned(), ..Default::default() };
    let answer = who.memberships().list_memberships(request).await?.into_inner();
    Ok(answer.memberships.into_iter().map(|it| it.email).collect())
}

/// A user in the root organisation can invite new users to it or to any sub-organisation, and sees
/// the users of all of them.
async fn scenario_a_of_source_002(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let child = stage.organisation(&owner, "ABC Holdings - Child 1", &root).await;
    let ada = stage.member("ada@example.com", &root, &["admin"]).await;
    stage.member("carl@example.com", &child, &["user"]).await;
    for (organisation, email) in [(&root, "new@example.com"), (&child, "newer@example.com")] {
        let invitation = invite(&ada, organisation, email).await.unwrap();
        let invitee = stage.person(email);
        let request = AcceptInvitationRequest { id: invitation.id, ..Default::default() };
        invitee.invitations().accept_invitation(request).await.unwrap();
        assert!(stage.allows(&invitee, organisation, "organisations.read").await);
        assert!(members(&ada, organisation).await.unwrap().contains(&email.to_owned()));
    }
    assert!(members(&ada, &child).await.unwrap().contains(&"carl@example.com".to_owned()));
    let below = ListOrganisationsRequest { parent_id: root, ..Default::default() };
    assert_eq!(names(&ada, below).await, ["ABC Holdings - Child 1"]);
}

/// A user in a sub-organisation is limited to it: they see neither users nor resources of the root,
/// nor of other sub-organisations.
async fn scenario_b_of_source_002(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let child = stage.organisation(&owner, "ABC Holdings - Child 1", &root).await;
    let sibling = stage.organisation(&owner, "ABC Holdings - Child 2", &root).await;
    let carl = stage.member("carl@example.com", &child, &["admin"]).await;
    invite(&carl, &child, "new@example.com").await.unwrap();
    // Whoever is invited is shown among the members.
    assert_eq!(members(&carl, &child).await.unwrap(), ["carl@example.com", "new@example.com"]);
    for hidden in [&root, &sibling] {
        assert_eq!(reason(get(&carl, hidden).await), "ORGANISATION_NOT_FOUND");
        assert_eq!(reason(members(&carl, hidden).await), "ORGANISATION_NOT_FOUND");
        let refused = invite(&carl, hidden, "new@example.com").await;
        assert_eq!(reason(refused), "ORGANISATION_NOT_FOUND");
    }
    let all = ListOrganisationsRequest { recursive: true, ..Default::default() };
    let seen = list(&carl, all).await;
    assert_eq!(seen.iter().map(|it| &*it.id).collect::<Vec<_>>(), [&*child]);
    assert_eq!(seen[0].parent_id, "");
    assert_eq!(get(&carl, &child).await.unwrap().parent_id, "");
}

/// An answer to the last byte.
fn bytes<T: Message>(answer: Result<Response<T>, Status>) -> String {
    match answer {
        Ok(answer) => format!("{:?}", answer.into_inner().encode_to_vec()),
        Err(status) => {
            let details = String::from_utf8_lossy(status.details());
            format!("{:?} {} {details:?}", status.code(), status.message())
        }
    }
}

/// What every RPC that reads organisations or roles answers of an identifier.
async fn asked(who: &Who, own: &str, id: &str) -> Vec<String> {
    let id = || id.to_owned();
    let own = || own.to_owned();
    let mut organisations = who.organisations();
    let mut roles = who.roles();
    let below = |recursive| ListOrganisationsRequest {
        parent_id: id(),
        recursive,
        show_archived: true,
        ..Default::default()
    };
    let onto = |id: String, new_parent_id: String| PreviewOrganisationMoveRequest {
        id,
        new_parent_id,
        ..Default::default()
    };
    let of_organisation = ListRolesRequest { organisation_id: id(), ..Default::default() };
    let of_application = ListRolesRequest { application_id: id(), ..Default::default() };
    vec![
        bytes(organisations.get_organisation(GetOrganisationRequest { id: id() }).await),
        bytes(organisations.list_organisations(below(false)).await),
        bytes(organisations.list_organisations(below(true)).await),
        bytes(organisations.preview_organisation_move(onto(id(), own())).await),
        bytes(organisations.preview_organisation_move(onto(id(), String::new())).await),
        bytes(organisations.preview_organisation_move(onto(own(), id())).await),
        bytes(roles.get_role(GetRoleRequest { id: id() }).await),
        bytes(roles.list_roles(of_organisation).await),
        bytes(roles.list_roles(of_application).await),
    ]
}

async fn what_a_sub_organisations_member_asks_about_root_and_siblings_answers_like_what_does_not_exist(
    bench: Bench,
) {
    let (stage, platform, root, other_root) = deep(bench).await;
    let child = stage.organisation(&platform, "Child 1", &root).await;
    let sibling = stage.organisation(&platform, "Child 2", &root).await;
    let nephew = stage.organisation(&platform, "Child 2.1", &sibling).await;
    let elsewhere = create_role(&platform, &other_root, "teacher", &[]).await.id;
    let application = stage_application(&stage, &sibling).await.to_string();
    let platform_node = "00000000-0000-0000-0000-000000000000".to_owned();
    let closed = stage.organisation(&platform, "Closed", &sibling).await;
    super::archive(&platform, &closed).await.unwrap();
    let of_application = platform
        .roles()
        .list_roles(ListRolesRequest { application_id: application.clone(), ..Default::default() })
        .await;
    let of_application = of_application.unwrap().into_inner().roles[0].id.clone();
    let hidden = [
        &root,
        &sibling,
        &nephew,
        &closed,
        &other_root,
        &elsewhere,
        &application,
        &of_application,
        &platform_node,
    ];
    for (email, role) in
        [("u@example.com", "user"), ("a@example.com", "admin"), ("o@example.com", "owner")]
    {
        let member = stage.member(email, &child, &[role]).await;
        let nothing = asked(&member, &child, &stage.service.clock.new_id().to_string()).await;
        for id in hidden {
            assert_eq!(asked(&member, &child, id).await, nothing, "{role} {id}");
        }
        // Nor does a search find them, or a list of everything.
        for query in ["", "child", "north", "south", "closed"] {
            let request = ListOrganisationsRequest {
                recursive: true,
                query: query.to_owned(),
                show_archived: true,
                ..Default::default()
            };
            let found = list(&member, request).await;
            assert!(found.iter().all(|it| it.id == child && it.parent_id.is_empty()), "{query}");
        }
        // The roles of their root are theirs to give, without a word of the root.
        let request = ListRolesRequest { organisation_id: child.clone(), ..Default::default() };
        let roles = member.roles().list_roles(request).await.unwrap().into_inner().roles;
        assert!(roles.iter().all(|role| role.organisation_id.is_empty()));
    }
}
