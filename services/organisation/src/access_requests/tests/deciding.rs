use api::organisation::v1::{AccessRequestMail::*, *};
use testkit::Bench;

use super::*;
use crate::{
    entity::organisation::{self, PLATFORM},
    testing::{reason, violations},
};

testkit::on_both_databases!(
    an_approval_grants_what_was_asked_for_and_everybody_hears_of_it,
    a_decided_request_is_not_decided_again,
    nobody_decides_on_their_own_request_nor_on_their_own_invitation,
    the_ceiling_is_that_of_the_moment_of_the_decision,
    deciding_takes_a_permission_of_its_own,
    support_decides_across_roots_within_its_own_ceiling,
    t10_a_request_of_another_organisation_is_none,
    a_rejection_says_why,
    only_the_requester_withdraws_and_twice_is_once,
    t08_an_acceptance_waits_for_somebody_elses_approval,
    a_membership_that_has_ended_begins_anew,
    leaving_settles_what_is_open,
    whoever_is_no_longer_a_member_is_given_nothing,
    source_000_an_approver_is_made_by_request_alone,
);

async fn an_approval_grants_what_was_asked_for_and_everybody_hears_of_it(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = root_of(&stage, "ABC Holdings").await;
    let first = stage.member("first@example.com", &root, &["approver"]).await;
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    let asked = ask(&ada, &root, "approver").await.unwrap();
    let before = mails(&stage, &[]).await.len();
    let approved = approve(&first, &asked.id).await.unwrap();
    assert_eq!(approved.state(), AccessRequestState::Approved);
    assert_eq!(approved.decided_by_id, first.id.to_string());
    assert_eq!(roles(&stage, &ada, &root).await, ["approver", "user"]);
    assert!(stage.allows(&ada, &root, "requests.decide").await);
    let told = mails(&stage, &[&owner, &first, &ada]).await.split_off(before);
    // Not the one who decided, and not the requester although they could decide by now.
    assert_eq!(told, [(Decided, ada.email.clone()), (Settled, owner.email.clone())]);
}

async fn a_decided_request_is_not_decided_again(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = root_of(&stage, "ABC Holdings").await;
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    let asked = ask(&ada, &root, "approver").await.unwrap();
    reject(&owner, &asked.id).await.unwrap();
    for refused in [
        approve(&owner, &asked.id).await,
        reject(&owner, &asked.id).await,
        withdraw(&ada, &asked.id).await,
    ] {
        use tonic_types::StatusExt as _;
        let info = refused.unwrap_err().get_details_error_info().unwrap();
        assert_eq!(info.reason, "ACCESS_REQUEST_SETTLED");
        assert_eq!(info.metadata["state"], "rejected");
    }
    assert_eq!(roles(&stage, &ada, &root).await, ["user"]);
}

async fn nobody_decides_on_their_own_request_nor_on_their_own_invitation(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = root_of(&stage, "ABC Holdings").await;
    let asked = ask(&owner, &root, "approver").await.unwrap();
    assert_eq!(reason(approve(&owner, &asked.id).await), "OWN_REQUEST");
    assert_eq!(reason(reject(&owner, &asked.id).await), "OWN_REQUEST");
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    let asked = ask(&ada, &root, "approver").await.unwrap();
    for_invitation(&stage, &asked.id, &owner).await;
    assert_eq!(reason(approve(&owner, &asked.id).await), "OWN_REQUEST");
    assert_eq!(reason(reject(&owner, &asked.id).await), "OWN_REQUEST");
}

async fn the_ceiling_is_that_of_the_moment_of_the_decision(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (_, root) = root_of(&stage, "ABC Holdings").await;
    let decider = stage.member("decider@example.com", &root, &["admin"]).await;
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    let asked = ask(&ada, &root, "admin").await.unwrap();
    demote(&stage, &decider, &root).await;
    stage.grant(&decider, id(&root), &["approver"]).await;
    assert_eq!(reason(approve(&decider, &asked.id).await), "GRANT_CEILING_EXCEEDED");
    assert_eq!(reason(reject(&decider, &asked.id).await), "GRANT_CEILING_EXCEEDED");
    demote(&stage, &decider, &root).await;
    stage.grant(&decider, id(&root), &["user"]).await;
    // Without `requests.read` there is no such request.
    assert_eq!(reason(approve(&decider, &asked.id).await), "ACCESS_REQUEST_NOT_FOUND");
    assert_eq!(roles(&stage, &ada, &root).await, ["user"]);
}

async fn support_decides_across_roots_within_its_own_ceiling(bench: Bench) {
    let stage = Stage::set(bench).await;
    let support = stage.person("support@example.com");
    stage.grant(&support, PLATFORM, &["support"]).await;
    for name in ["ABC Holdings", "XYZ"] {
        let (_, root) = root_of(&stage, name).await;
        let ada = stage.member("ada@example.com", &root, &["user"]).await;
        for above in ["owner", "admin"] {
            let asked = ask(&ada, &root, above).await.unwrap();
            assert_eq!(reason(approve(&support, &asked.id).await), "GRANT_CEILING_EXCEEDED");
            assert_eq!(reason(reject(&support, &asked.id).await), "GRANT_CEILING_EXCEEDED");
        }
        let asked = ask(&ada, &root, "approver").await.unwrap();
        approve(&support, &asked.id).await.unwrap();
        assert_eq!(roles(&stage, &ada, &root).await, ["approver", "user"], "{name}");
    }
}

async fn t10_a_request_of_another_organisation_is_none(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (_, root) = root_of(&stage, "ABC Holdings").await;
    let (foreign, _) = root_of(&stage, "XYZ").await;
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    let bob = stage.member("bob@example.com", &root, &["user"]).await;
    let asked = ask(&ada, &root, "approver").await.unwrap();
    let random = stage.service.clock.new_id().to_string();
    for who in [&foreign, &bob] {
        for request in [&asked.id, &random] {
            let get = GetAccessRequestRequest { id: request.clone() };
            let got = who.access_requests().get_access_request(get).await;
            assert_eq!(reason(got), "ACCESS_REQUEST_NOT_FOUND");
            assert_eq!(reason(approve(who, request).await), "ACCESS_REQUEST_NOT_FOUND");
            assert_eq!(reason(reject(who, request).await), "ACCESS_REQUEST_NOT_FOUND");
            assert_eq!(reason(withdraw(who, request).await), "ACCESS_REQUEST_NOT_FOUND");
        }
    }
}

async fn a_rejection_says_why(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = root_of(&stage, "ABC Holdings").await;
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    let asked = ask(&ada, &root, "approver").await.unwrap();
    let mut request = RejectAccessRequestRequest { id: asked.id.clone(), ..Default::default() };
    let refused = owner.access_requests().reject_access_request(request.clone()).await;
    assert_eq!(violations(refused), ["reason"]);
    request.reason = "Ask again in spring.".to_owned();
    let rejected = owner.access_requests().reject_access_request(request).await.unwrap();
    let rejected = rejected.into_inner().access_request.unwrap();
    assert_eq!(rejected.state(), AccessRequestState::Rejected);
    let get = GetAccessRequestRequest { id: asked.id };
    let got = ada.access_requests().get_access_request(get).await.unwrap().into_inner();
    assert_eq!(got.access_request.unwrap().decision_reason, "Ask again in spring.");
    assert_eq!(roles(&stage, &ada, &root).await, ["user"]);
}

async fn only_the_requester_withdraws_and_twice_is_once(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = root_of(&stage, "ABC Holdings").await;
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    let asked = ask(&ada, &root, "approver").await.unwrap();
    assert_eq!(reason(withdraw(&owner, &asked.id).await), "REQUESTER_REQUIRED");
    let before = mails(&stage, &[]).await.len();
    for _ in 0..2 {
        let withdrawn = withdraw(&ada, &asked.id).await.unwrap();
        assert_eq!(withdrawn.state(), AccessRequestState::Withdrawn);
    }
    let told = mails(&stage, &[&owner, &ada]).await.split_off(before);
    assert_eq!(told, [(Settled, owner.email.clone())]);
    assert_eq!(reason(approve(&owner, &asked.id).await), "ACCESS_REQUEST_SETTLED");
}

async fn t08_an_acceptance_waits_for_somebody_elses_approval(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = root_of(&stage, "ABC Holdings").await;
    let second = stage.member("second@example.com", &root, &["admin"]).await;
    let wanting = organisation::ActiveModel {
        id: Set(id(&root)),
        approval_required: Set(true),
        ..Default::default()
    };
    wanting.update(stage.service.database.read()).await.unwrap();
    let eve = stage.person("eve@example.com");
    let request = CreateInvitationRequest {
        organisation_id: root.clone(),
        email: eve.email.clone(),
        roles: vec!["approver".to_owned()],
        ..Default::default()
    };
    let invited = owner.invitations().create_invitation(request).await.unwrap().into_inner();
    let invitation = invited.invitation.unwrap().id;
    let accept = AcceptInvitationRequest { id: invitation.clone(), ..Default::default() };
    let accepted = eve.invitations().accept_invitation(accept).await.unwrap().into_inner();
    let waiting = accepted.invitation.unwrap().access_request_id;
    assert!(roles(&stage, &eve, &root).await.is_empty());
    let told = mails(&stage, &[&owner, &second, &eve]).await;
    assert_eq!(told, [(Received, eve.email.clone()), (Asked, second.email.clone())]);
    assert_eq!(reason(approve(&owner, &waiting).await), "OWN_REQUEST");
    let approved = approve(&second, &waiting).await.unwrap();
    assert_eq!(approved.invitation_id, invitation);
    assert_eq!(roles(&stage, &eve, &root).await, ["approver"]);
}

async fn a_membership_that_has_ended_begins_anew(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = root_of(&stage, "ABC Holdings").await;
    let child = stage.organisation(&owner, "Child 1", &root).await;
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    stage.grant(&ada, id(&child), &["admin"]).await;
    let ended = membership::ActiveModel {
        subject_id: Set(ada.id),
        organisation_id: Set(id(&child)),
        expires_at: Set(Some(stage.now())),
        ..Default::default()
    };
    ended.update(stage.service.database.read()).await.unwrap();
    let asked = ask(&ada, &child, "approver").await.unwrap();
    approve(&owner, &asked.id).await.unwrap();
    assert_eq!(roles(&stage, &ada, &child).await, ["approver"], "without what it had");
    assert!(stage.allows(&ada, &child, "requests.decide").await);
}

async fn leaving_settles_what_is_open(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = root_of(&stage, "ABC Holdings").await;
    let children = [
        stage.organisation(&owner, "Child 1", &root).await,
        stage.organisation(&owner, "Child 2", &root).await,
    ];
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    stage.grant(&ada, id(&children[1]), &["user"]).await;
    let at_root = ask(&ada, &root, "approver").await.unwrap();
    let by_root = ask(&ada, &children[0], "approver").await.unwrap();
    let by_itself = ask(&ada, &children[1], "approver").await.unwrap();
    leave(&stage, &ada, &root).await;
    for (request, state) in [
        (at_root, access_request::State::Withdrawn),
        (by_root, access_request::State::Withdrawn),
        (by_itself, access_request::State::Pending),
    ] {
        assert_eq!(row(&stage, &request.id).await.state, state);
    }
}

async fn whoever_is_no_longer_a_member_is_given_nothing(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = root_of(&stage, "ABC Holdings").await;
    let child = stage.organisation(&owner, "Child 1", &root).await;
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    let asked = ask(&ada, &child, "approver").await.unwrap();
    // As if nobody had settled it.
    let gone = membership::Entity::delete_by_id((ada.id, id(&root)));
    gone.exec(stage.service.database.read()).await.unwrap();
    assert_eq!(reason(approve(&owner, &asked.id).await), "MEMBER_REQUIRED");
    assert_eq!(row(&stage, &asked.id).await.state, access_request::State::Pending);
    assert!(roles(&stage, &ada, &child).await.is_empty());
}

/// Manage School on DfE Sign-in: over the API one invites end-users; an approver is made by those who
/// are approvers.
async fn source_000_an_approver_is_made_by_request_alone(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (_, school) = root_of(&stage, "Springfield School").await;
    let approver = stage.member("approver@example.com", &school, &["approver"]).await;
    let dashboard = stage.account("manage-school", "");
    stage.grant(&dashboard, id(&school), &["admin"]).await;
    let invitation = CreateInvitationRequest {
        organisation_id: school.clone(),
        email: "ada@example.com".to_owned(),
        roles: vec!["approver".to_owned()],
        ..Default::default()
    };
    let refused = dashboard.invitations().create_invitation(invitation).await;
    assert_eq!(reason(refused), "ROLE_NOT_INVITABLE");
    let ada = stage.member("ada@example.com", &school, &["user"]).await;
    let asked = ask(&ada, &school, "approver").await.unwrap();
    // Nor does the dashboard decide to make one.
    assert_eq!(reason(approve(&dashboard, &asked.id).await), "ROLE_NOT_INVITABLE");
    approve(&approver, &asked.id).await.unwrap();
    assert_eq!(roles(&stage, &ada, &school).await, ["approver", "user"]);
}

/// Neither reading requests nor holding what is asked for is enough; an application takes the right
/// to grant applications too.
async fn deciding_takes_a_permission_of_its_own(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = root_of(&stage, "ABC Holdings").await;
    for (key, permissions) in [
        ("reader", vec!["organisations.read", "requests.read"]),
        ("decider", vec!["organisations.read", "requests.read", "requests.decide"]),
    ] {
        let request = CreateRoleRequest {
            organisation_id: root.clone(),
            key: key.to_owned(),
            permissions: permissions.into_iter().map(str::to_owned).collect(),
            ..Default::default()
        };
        owner.roles().create_role(request).await.unwrap();
    }
    let reader = stage.member("reader@example.com", &root, &["reader"]).await;
    let decider = stage.member("decider@example.com", &root, &["decider"]).await;
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    let request = CreateApplicationRequest {
        organisation_id: root.clone(),
        display_name: "Timetable".to_owned(),
        ..Default::default()
    };
    let created = owner.applications().create_application(request).await.unwrap().into_inner();
    let application_id = created.application.unwrap().id;
    let a_role = ask(&ada, &root, "reader").await.unwrap();
    let request = CreateAccessRequestRequest { application_id, ..for_role(&root, "") };
    let asked = ada.access_requests().create_access_request(request).await.unwrap();
    let an_application = asked.into_inner().access_request.unwrap();
    for (who, request) in [(&reader, &a_role), (&decider, &an_application)] {
        assert_eq!(reason(approve(who, &request.id).await), "PERMISSION_MISSING");
        assert_eq!(reason(reject(who, &request.id).await), "PERMISSION_MISSING");
    }
    approve(&decider, &a_role.id).await.unwrap();
    approve(&owner, &an_application.id).await.unwrap();
}
