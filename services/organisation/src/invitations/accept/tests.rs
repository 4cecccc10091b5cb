use api::organisation::v1::{InvitationState, Membership, UpdateMembershipRequest};
use kernel::{Duration, Uuid};
use prost_types::FieldMask;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    Statement,
};
use testkit::{Bench, race};

use crate::{
    entity::{access_request, application_access, invitation, membership, organisation::PLATFORM},
    invitations::tests::{
        Heard, accept, application, decline, demote, get, good, invite, invite_with, membership_of,
        policy, reissue, revoke, update,
    },
    testing::{Stage, Who, reason},
};

testkit::on_both_databases!(
    whoever_accepts_is_a_member_with_what_was_offered_and_no_more,
    t05_fifty_acceptances_make_one_member_and_one_event,
    t02_only_the_invitee_accepts,
    t07_a_domain_that_is_no_longer_allowed_is_refused_at_acceptance,
    t08_where_an_approval_is_wanted_acceptance_only_asks_for_it,
    source_000_no_application_is_assigned_unless_it_says_so,
    an_invitation_never_lowers_anyone,
    a_suspended_member_stays_suspended,
    t06_an_offer_ends_with_the_right_to_make_it,
    t06_an_offer_ends_with_any_part_of_the_right_to_make_it,
    what_is_over_is_not_answered_even_if_nobody_has_noticed,
    an_archived_organisation_lets_nobody_in,
    another_way_of_joining_settles_an_invitation,
    of_two_acceptances_one_counts,
    of_accept_and_revoke_at_once_one_wins,
    of_accept_and_decline_at_once_one_wins,
    a_reissue_does_not_bring_back_what_was_accepted,
    what_is_accepted_during_an_update_is_the_old_offer_or_the_new,
    nobody_is_let_in_by_whoever_was_removed_before,
);

const ROUNDS: usize = 200;

async fn whoever_accepts_is_a_member_with_what_was_offered_and_no_more(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let child = stage.organisation(&owner, "Child", &root).await;
    let (from, until) = (stage.now() + Duration::minutes(1), stage.now() + Duration::minutes(5));
    let offered = invite_with(&owner, &child, "ada@example.com", |request| {
        request.roles = vec!["user".to_owned(), "approver".to_owned()];
        request.membership_valid_from = Some(api::timestamp(from));
        request.membership_expires_at = Some(api::timestamp(until));
    });
    let offered = offered.await.unwrap();
    let ada = stage.person("ada@example.com");
    assert_eq!(accept(&ada, &offered.id).await.unwrap().state(), InvitationState::Accepted);
    let (membership, roles) = membership_of(&stage, &ada, &child).await.unwrap();
    assert_eq!(roles, ["approver", "user"]);
    assert_eq!((membership.valid_from, membership.expires_at), (Some(from), Some(until)));
    assert!(!stage.allows(&ada, &child, "members.read").await, "not yet");
    stage.pass(Duration::minutes(1));
    assert!(stage.allows(&ada, &child, "members.read").await);
    assert!(!stage.allows(&ada, &child, "invitations.create").await);
    assert!(!stage.allows(&ada, &root, "organisations.read").await);
}

async fn t05_fifty_acceptances_make_one_member_and_one_event(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let offered = invite(&owner, &root, "ada@example.com", &["user"]).await.unwrap();
    let ada = stage.person("ada@example.com");
    let heard = Heard::listen(&stage);
    let answers = race(50, |_| {
        let (ada, id) = (ada.clone(), offered.id.clone());
        async move { accept(&ada, &id).await }
    })
    .await;
    // Accepting twice is once, so that all are answered alike.
    assert_eq!(good(&answers), 50);
    assert_eq!(membership_of(&stage, &ada, &root).await.unwrap().1, ["user"]);
    assert_eq!(heard.count(&stage, "organisation.invitation.settled.v1").await, 1);
    assert_eq!(heard.count(&stage, "organisation.membership.created.v1").await, 1);
    assert_eq!(heard.count(&stage, "organisation.membership.updated.v1").await, 0);
}

async fn t02_only_the_invitee_accepts(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let offered = invite(&owner, &root, "ada@example.com", &["user"]).await.unwrap();
    let eve = stage.person("eve@example.com");
    let robot = stage.account("robot", "");
    stage.grant(&robot, root.parse().unwrap(), &["owner"]).await;
    assert_eq!(reason(accept(&eve, &offered.id).await), "INVITATION_NOT_FOUND");
    assert_eq!(reason(accept(&owner, &offered.id).await), "INVITEE_REQUIRED");
    assert_eq!(reason(accept(&robot, &offered.id).await), "INVITEE_REQUIRED");
    assert_eq!(get(&owner, &offered.id).await.state(), InvitationState::Pending);
    assert_eq!(membership_of(&stage, &eve, &root).await, None);
}

async fn t07_a_domain_that_is_no_longer_allowed_is_refused_at_acceptance(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let child = stage.organisation(&owner, "Child", &root).await;
    let offered = invite(&owner, &child, "ada@example.com", &["user"]).await.unwrap();
    policy(&stage, &root, |row| row.allowed_domains = "abc.example".to_owned()).await;
    let ada = stage.person("ada@example.com");
    assert_eq!(reason(accept(&ada, &offered.id).await), "DOMAIN_NOT_ALLOWED");
    assert_eq!(membership_of(&stage, &ada, &child).await, None);
    assert_eq!(get(&owner, &offered.id).await.state(), InvitationState::Pending);
    policy(&stage, &root, |row| row.allowed_domains = "example.com".to_owned()).await;
    accept(&ada, &offered.id).await.unwrap();
}

async fn t08_where_an_approval_is_wanted_acceptance_only_asks_for_it(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let child = stage.organisation(&owner, "Child", &root).await;
    let shop = application(&stage, &root, "Shop", true).await;
    // It is wanted above.
    policy(&stage, &root, |row| row.approval_required = true).await;
    let offered = invite_with(&owner, &child, "ada@example.com", |request| {
        request.roles = vec!["admin".to_owned()];
        request.application_id = shop;
    });
    let offered = offered.await.unwrap();
    let ada = stage.person("ada@example.com");
    let heard = Heard::listen(&stage);
    for _ in 0..2 {
        let accepted = accept(&ada, &offered.id).await.unwrap();
        assert_eq!(accepted.state(), InvitationState::Accepted);
        assert!(!accepted.access_request_id.is_empty());
    }
    assert_eq!(membership_of(&stage, &ada, &child).await, None);
    assert!(!stage.allows(&ada, &child, "organisations.read").await);
    let database = stage.service.database.read();
    let request = access_request::Entity::find().one(database).await.unwrap().unwrap();
    assert_eq!(request.state, access_request::State::Pending);
    assert_eq!((request.requester_id, request.roles.as_str()), (ada.id, "admin"));
    assert_eq!(request.invitation_id.unwrap().to_string(), offered.id);
    let accepted = get(&owner, &offered.id).await;
    assert_eq!(accepted.access_request_id, request.id.to_string());
    let access = application_access::Entity::find().one(database).await.unwrap();
    assert_eq!(access, None);
    assert_eq!(heard.count(&stage, "organisation.membership.created.v1").await, 0);
    assert_eq!(heard.count(&stage, "organisation.access_request.created.v1").await, 1);
}

/// "DSI also does not assign service by default via public API - security protocol."
async fn source_000_no_application_is_assigned_unless_it_says_so(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (_, school) = stage.root("School").await;
    let experience = stage.account("manage-school", "");
    stage.grant(&experience, school.parse().unwrap(), &["admin"]).await;
    let quiet = application(&stage, &school, "Quiet", false).await;
    let shop = application(&stage, &school, "Shop", true).await;
    let heard = Heard::listen(&stage);
    for (email, application, has_access) in [
        ("ada@example.com", "", false),
        ("bob@example.com", quiet.as_str(), false),
        ("cyd@example.com", shop.as_str(), true),
    ] {
        let offered = invite_with(&experience, &school, email, |request| {
            request.application_id = application.to_owned();
        });
        let who = stage.person(email);
        accept(&who, &offered.await.unwrap().id).await.unwrap();
        let access = application_access::Entity::find()
            .filter(application_access::Column::SubjectId.eq(who.id))
            .all(stage.service.database.read())
            .await
            .unwrap();
        assert_eq!(access.len(), usize::from(has_access), "{email}");
        assert!(access.iter().all(|it| it.application_id.to_string() == application));
    }
    assert_eq!(heard.count(&stage, "organisation.application_access.granted.v1").await, 1);
}

async fn an_invitation_never_lowers_anyone(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let ada = stage.member("ada@example.com", &root, &["admin"]).await;
    let until = Some(api::timestamp(stage.now() + Duration::minutes(5)));
    let offered = invite_with(&owner, &root, &ada.email, |request| {
        request.membership_expires_at = until;
    });
    let offered = offered.await.unwrap();
    let heard = Heard::listen(&stage);
    accept(&ada, &offered.id).await.unwrap();
    let (membership, roles) = membership_of(&stage, &ada, &root).await.unwrap();
    assert_eq!(roles, ["admin", "user"]);
    assert_eq!((membership.valid_from, membership.expires_at), (None, None));
    assert_eq!(heard.count(&stage, "organisation.membership.updated.v1").await, 1);
    assert_eq!(heard.count(&stage, "organisation.membership.created.v1").await, 0);
}

async fn a_suspended_member_stays_suspended(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let ada = stage.member("ada@example.com", &root, &["user"]).await;
    let suspended = sea_orm::sea_query::Expr::value(membership::State::Suspended);
    membership::Entity::update_many()
        .col_expr(membership::Column::State, suspended)
        .filter(membership::Column::SubjectId.eq(ada.id))
        .exec(stage.service.database.read())
        .await
        .unwrap();
    let offered = invite(&owner, &root, &ada.email, &["admin"]).await.unwrap();
    accept(&ada, &offered.id).await.unwrap();
    assert!(!stage.allows(&ada, &root, "organisations.read").await);
}

async fn t06_an_offer_ends_with_the_right_to_make_it(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let child = stage.organisation(&owner, "Child", &root).await;
    let inviter = stage.member("inviter@example.com", &root, &["admin", "user"]).await;
    let offered = invite(&inviter, &child, "ada@example.com", &["admin"]).await.unwrap();
    let ada = stage.person("ada@example.com");
    demote(&stage, &inviter, &root).await;
    assert_eq!(reason(accept(&ada, &offered.id).await), "INVITER_LOST_RIGHT");
    assert_eq!(membership_of(&stage, &ada, &child).await, None);
    // Somebody entitled takes the inviter's place.
    reissue(&owner, &offered.id).await.unwrap();
    accept(&ada, &offered.id).await.unwrap();
}

/// The right to invite alone, and what is offered alone: neither does.
async fn t06_an_offer_ends_with_any_part_of_the_right_to_make_it(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (_, root) = stage.root("ABC Holdings").await;
    let platform = stage.platform_owner().await;
    let inviter = stage.member("inviter@example.com", &root, &["owner"]).await;
    let ada = stage.person("ada@example.com");
    for (offers, left) in [("user", "user"), ("owner", "admin")] {
        let offered = invite(&inviter, &root, "ada@example.com", &[offers]).await.unwrap();
        set_roles(&platform, &root, &inviter, &[left]).await;
        assert_eq!(reason(accept(&ada, &offered.id).await), "INVITER_LOST_RIGHT", "{offers}");
        assert_eq!(membership_of(&stage, &ada, &root).await, None);
        revoke(&platform, &offered.id).await.unwrap();
        set_roles(&platform, &root, &inviter, &["owner"]).await;
    }
}

async fn set_roles(by: &Who, organisation: &str, whom: &Who, roles: &[&str]) {
    let membership = Membership {
        organisation_id: organisation.to_owned(),
        user_id: whom.id.to_string(),
        roles: roles.iter().map(|&role| role.to_owned()).collect(),
        ..Default::default()
    };
    let request = UpdateMembershipRequest {
        membership: Some(membership),
        update_mask: Some(FieldMask { paths: vec!["roles".to_owned()] }),
        ..Default::default()
    };
    by.memberships().update_membership(request).await.unwrap();
}

async fn what_is_over_is_not_answered_even_if_nobody_has_noticed(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let ada = stage.person("ada@example.com");
    for answer in ["accept", "decline"] {
        let id = invite(&owner, &root, "ada@example.com", &["user"]).await.unwrap().id;
        // The timer has most likely not come to it yet.
        let over = sea_orm::sea_query::Expr::value(stage.now());
        invitation::Entity::update_many()
            .col_expr(invitation::Column::ExpiresAt, over)
            .filter(invitation::Column::Id.eq(id.parse::<Uuid>().unwrap()))
            .exec(stage.service.database.read())
            .await
            .unwrap();
        let refused = match answer {
            "accept" => accept(&ada, &id).await,
            _ => decline(&ada, &id).await,
        };
        assert_eq!(reason(refused), "INVITATION_EXPIRED", "{answer}");
        assert_eq!(membership_of(&stage, &ada, &root).await, None);
        revoke(&owner, &id).await.unwrap();
    }
}

async fn an_archived_organisation_lets_nobody_in(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let offered = invite(&owner, &root, "ada@example.com", &["user"]).await.unwrap();
    let ada = stage.person("ada@example.com");
    policy(&stage, &root, |row| row.archived_by = Some(row.id)).await;
    assert_eq!(reason(accept(&ada, &offered.id).await), "ORGANISATION_ARCHIVED");
    policy(&stage, &root, |row| row.archived_by = None).await;
    accept(&ada, &offered.id).await.unwrap();
}

/// An acceptance fulfils what else the organisation offers the same person, such as at an address
/// that they had before.
async fn another_way_of_joining_settles_an_invitation(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let first = invite(&owner, &root, "ada@example.com", &["user", "admin"]).await.unwrap();
    let second = invite(&owner, &root, "ada@old.example", &["user"]).await.unwrap();
    let third = invite(&owner, &root, "ada@older.example", &["approver"]).await.unwrap();
    let ada = stage.person("ada@example.com");
    let database = stage.service.database.read();
    let theirs = sea_orm::sea_query::Expr::value(ada.id);
    let theirs = invitation::Entity::update_many().col_expr(invitation::Column::InviteeId, theirs);
    theirs.exec(database).await.unwrap();
    accept(&ada, &first.id).await.unwrap();
    assert_eq!(get(&owner, &second.id).await.state(), InvitationState::Accepted);
    assert_eq!(get(&owner, &third.id).await.state(), InvitationState::Pending);
}

/// Two at once, each with an answer of its own kind.
async fn both<A, B>(
    first: impl Future<Output = A> + Send + 'static,
    second: impl Future<Output = B> + Send + 'static,
) -> (A, B)
where
    A: Send + 'static,
    B: Send + 'static,
{
    let (first, second) = (tokio::spawn(first), tokio::spawn(second));
    (first.await.unwrap(), second.await.unwrap())
}

/// What a race is about: somebody who owns a root, and somebody who is invited there as admin.
async fn offer(stage: &Stage, owner: &Who, root: &str, round: usize) -> (Who, String) {
    let email = format!("ada{round}@example.com");
    let offered = invite(owner, root, &email, &["admin"]).await.unwrap();
    (stage.person(&email), offered.id)
}

async fn of_two_acceptances_one_counts(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let heard = Heard::listen(&stage);
    for round in 0..ROUNDS {
        let (ada, id) = offer(&stage, &owner, &root, round).await;
        let ((one, first), (two, second)) = ((ada.clone(), id.clone()), (ada.clone(), id.clone()));
        let (first, second) =
            both(
                async move { accept(&one, &first).await },
                async move { accept(&two, &second).await },
            )
            .await;
        assert_eq!((reason(first), reason(second)), ("OK".to_owned(), "OK".to_owned()));
    }
    let key = "organisation.invitation.settled.v1";
    assert_eq!(heard.count(&stage, key).await, ROUNDS);
    assert_eq!(heard.count(&stage, "organisation.membership.created.v1").await, ROUNDS);
}

async fn of_accept_and_revoke_at_once_one_wins(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    for round in 0..ROUNDS {
        let (ada, id) = offer(&stage, &owner, &root, round).await;
        let (accepted, revoked) = {
            let ((ada, id), (owner, other)) =
                ((ada.clone(), id.clone()), (owner.clone(), id.clone()));
            both(
                async move { accept(&ada, &id).await },
                async move { revoke(&owner, &other).await },
            )
            .await
        };
        let is_member = membership_of(&stage, &ada, &root).await.is_some();
        let state = get(&owner, &id).await.state();
        match (reason(accepted).as_str(), reason(revoked).as_str()) {
            ("OK", "INVITATION_ACCEPTED") => {
                assert_eq!((is_member, state), (true, InvitationState::Accepted));
            }
            ("INVITATION_REVOKED", "OK") => {
                assert_eq!((is_member, state), (false, InvitationState::Revoked));
            }
            other => panic!("round {round}: {other:?}"),
        }
    }
}

async fn of_accept_and_decline_at_once_one_wins(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    for round in 0..ROUNDS {
        let (ada, id) = offer(&stage, &owner, &root, round).await;
        let (accepted, declined) = {
            let ((one, first), (two, second)) =
                ((ada.clone(), id.clone()), (ada.clone(), id.clone()));
            both(
                async move { accept(&one, &first).await },
                async move { decline(&two, &second).await },
            )
            .await
        };
        let is_member = membership_of(&stage, &ada, &root).await.is_some();
        match (reason(accepted).as_str(), reason(declined).as_str()) {
            ("OK", "INVITATION_ACCEPTED") => assert!(is_member),
            ("INVITATION_DECLINED", "OK") => assert!(!is_member),
            other => panic!("round {round}: {other:?}"),
        }
    }
}

async fn a_reissue_does_not_bring_back_what_was_accepted(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    for round in 0..ROUNDS {
        let (ada, id) = offer(&stage, &owner, &root, round).await;
        let (accepted, reissued) = {
            let ((ada, id), (owner, other)) =
                ((ada.clone(), id.clone()), (owner.clone(), id.clone()));
            both(
                async move { accept(&ada, &id).await },
                async move { reissue(&owner, &other).await },
            )
            .await
        };
        assert_eq!(reason(accepted), "OK", "round {round}");
        let after = get(&owner, &id).await;
        assert_eq!(after.state(), InvitationState::Accepted);
        match reissued {
            Ok(_) => assert_eq!(after.issue, 2),
            Err(_) => {
                assert_eq!(after.issue, 1);
                assert_eq!(reason(reissued), "INVITATION_ACCEPTED");
            }
        }
    }
}

/// The owner offers `admin`; an admin makes it `user`, and takes the owner's place by that.
async fn what_is_accepted_during_an_update_is_the_old_offer_or_the_new(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let admin = stage.member("admin@example.com", &root, &["admin"]).await;
    for round in 0..ROUNDS {
        let email = format!("ada{round}@example.com");
        let mut wanted = invite(&owner, &root, &email, &["admin"]).await.unwrap();
        let (ada, id) = (stage.person(&email), wanted.id.clone());
        wanted.roles = vec!["user".to_owned()];
        let (accepted, updated) = {
            let (ada, id, admin) = (ada.clone(), id.clone(), admin.clone());
            both(async move { accept(&ada, &id).await }, async move {
                update(&admin, wanted, &["roles"]).await
            })
            .await
        };
        assert_eq!(reason(accepted), "OK", "round {round}");
        let (_, roles) = membership_of(&stage, &ada, &root).await.unwrap();
        let after = get(&owner, &id).await;
        assert_eq!(after.roles, roles, "round {round}");
        let (offered, inviter) = match updated {
            Ok(_) => ("user", &admin),
            Err(_) => ("admin", &owner),
        };
        assert_eq!(roles, [offered], "round {round}: {updated:?}");
        assert_eq!(after.inviter_id, inviter.id.to_string());
    }
}

/// If the removal of the inviter has been answered, nobody joins by their offer afterwards.
async fn nobody_is_let_in_by_whoever_was_removed_before(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (_, root) = stage.root("ABC Holdings").await;
    let id: Uuid = root.parse().unwrap();
    assert_ne!(id, PLATFORM);
    for round in 0..ROUNDS {
        let email = format!("inviter{round}@example.com");
        let inviter = stage.member(&email, &root, &["admin"]).await;
        let (ada, offered) = offer(&stage, &inviter, &root, round).await;
        let database = stage.service.database.clone();
        let (accepted, removed_first) = {
            let (ada, subject) = (ada.clone(), inviter.id);
            let (invitation, seen) = (offered.clone(), offered.clone());
            both(async move { accept(&ada, &invitation).await }, async move {
                let tx = database.begin().await.unwrap();
                membership::Entity::delete_by_id((subject, id)).exec(&*tx).await.unwrap();
                // What it sees now of the acceptance has been committed before.
                let seen: Uuid = seen.parse().unwrap();
                let found = invitation::Entity::find_by_id(seen).one(&*tx).await.unwrap().unwrap();
                tx.commit().await.unwrap();
                found.state == invitation::State::Pending
            })
            .await
        };
        let is_member = membership_of(&stage, &ada, &root).await.is_some();
        if removed_first {
            assert_eq!(reason(accepted), "INVITER_LOST_RIGHT", "round {round}");
            assert!(!is_member, "round {round}");
        } else {
            accepted.unwrap();
            assert!(is_member, "round {round}");
        }
    }
    let left = membership::Entity::find().order_by_asc(membership::Column::Id);
    assert!(!left.all(stage.service.database.read()).await.unwrap().is_empty());
}

/// The same, in slow motion: the removal has been written, but not committed, when the acceptance
/// comes. It waits, and then finds nothing that would let anybody in.
#[tokio::test(flavor = "multi_thread")]
async fn an_acceptance_waits_for_the_removal_of_the_inviter() {
    let stage = Stage::set(Bench::postgres().await).await;
    let (_, root) = stage.root("ABC Holdings").await;
    let inviter = stage.member("inviter@example.com", &root, &["admin", "user"]).await;
    let (ada, offered) = offer(&stage, &inviter, &root, 0).await;
    let tx = stage.service.database.begin().await.unwrap();
    crate::entity::membership_role::Entity::delete_many()
        .filter(crate::entity::membership_role::Column::SubjectId.eq(inviter.id))
        .exec(&*tx)
        .await
        .unwrap();
    let accepting = tokio::spawn({
        let ada = ada.clone();
        async move { accept(&ada, &offered).await }
    });
    // It is known to wait when the database says so.
    let waits = "SELECT 1 AS waits FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                 AND datname = current_database()";
    testkit::eventually("the acceptance waits", || async {
        let database = stage.service.database.read();
        let asked = Statement::from_string(database.get_database_backend(), waits);
        database.query_one_raw(asked).await.unwrap().map(|_| ())
    })
    .await;
    tx.commit().await.unwrap();
    assert_eq!(reason(accepting.await.unwrap()), "INVITER_LOST_RIGHT");
    assert_eq!(membership_of(&stage, &ada, &root).await, None);
}
