use api::organisation::v1::*;
use kernel::Uuid;
use sea_orm::{IntoActiveModel as _, entity::prelude::*, sea_query::Expr};
use testkit::Bench;

use super::{archive, create_role, deep, get, preview, relocate};
use crate::{
    domain::role::{BuiltIn, Roles},
    entity::{application, application_access, membership, role},
    testing::{Stage, Who, reason, violations},
};

testkit::on_both_databases!(
    a_preview_tells_who_gains_and_who_loses_and_the_move_does_just_that,
    a_preview_shows_no_members_whom_the_mover_may_not_read,
    a_move_takes_the_right_at_both_ends_and_shows_no_end_that_is_hidden,
    what_cannot_be_is_refused_before_and_at_the_move,
    a_tree_that_changed_since_the_preview_is_not_moved,
    custom_roles_in_use_do_not_leave_their_root,
    a_root_is_owned_for_good,
    access_to_applications_that_are_left_behind_ends,
);

async fn a_preview_tells_who_gains_and_who_loses_and_the_move_does_just_that(bench: Bench) {
    let (stage, platform, north, south) = deep(bench).await;
    let trust = stage.organisation(&platform, "Trust", &north).await;
    let school = stage.organisation(&platform, "School", &trust).await;
    let nora = stage.member("nora@example.com", &north, &["user", "admin"]).await;
    let sam = stage.member("sam@example.com", &south, &["admin"]).await;
    let tess = stage.member("tess@example.com", &trust, &["admin"]).await;
    let away = stage.member("away@example.com", &south, &["admin"]).await;
    suspend(&stage, &away).await;
    let seen = preview(&platform, &trust, &south).await.unwrap();
    let changes: Vec<_> =
        seen.changes.iter().map(|it| (&*it.email, it.roles.join(" "), it.gains)).collect();
    let expected = [
        // The creator of a root owns it; that the platform owner holds everything anyway is no
        // matter of this move.
        ("owner@example.com", "owner".to_owned(), false),
        ("owner@example.com", "owner".to_owned(), true),
        ("nora@example.com", "admin user".to_owned(), false),
        ("sam@example.com", "admin".to_owned(), true),
    ];
    assert_eq!(changes, expected);
    assert_eq!(seen.organisations, 2);

    let first = PreviewOrganisationMoveRequest {
        id: trust.clone(),
        new_parent_id: south.clone(),
        page_size: 3,
        ..Default::default()
    };
    let page = platform.organisations().preview_organisation_move(first.clone()).await;
    let page = page.unwrap().into_inner();
    let rest = PreviewOrganisationMoveRequest { page_token: page.next_page_token, ..first };
    let rest = platform.organisations().preview_organisation_move(rest).await.unwrap().into_inner();
    assert_eq!([page.changes, rest.changes].concat(), seen.changes);
    assert_eq!((page.etag, rest.next_page_token), (rest.etag, String::new()));

    let moved = relocate(&platform, &trust, &south, &seen.etag).await.unwrap();
    assert_eq!(moved.parent_id, south);
    assert_eq!(get(&platform, &trust).await.unwrap(), moved);
    stage.check_tree().await;
    for (who, allowed) in [(&nora, false), (&sam, true), (&tess, true), (&away, false)] {
        assert_eq!(stage.allows(who, &school, "members.read").await, allowed, "{}", who.email);
    }
    assert!(stage.allows(&nora, &north, "members.read").await);
}

async fn suspend(stage: &Stage, who: &Who) {
    use membership::{Column, Entity, State};
    Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Suspended))
        .filter(Column::SubjectId.eq(who.id))
        .exec(stage.service.database.read())
        .await
        .unwrap();
}

async fn a_preview_shows_no_members_whom_the_mover_may_not_read(bench: Bench) {
    let (stage, platform, north, south) = deep(bench).await;
    let left = stage.organisation(&platform, "Left", &north).await;
    let right = stage.organisation(&platform, "Right", &south).await;
    let trust = stage.organisation(&platform, "Trust", &left).await;
    stage.member("nora@example.com", &north, &["admin"]).await;
    let mover = stage.member("mover@example.com", &left, &["owner"]).await;
    stage.grant(&mover, right.parse().unwrap(), &["owner"]).await;
    let seen = preview(&mover, &trust, &right).await.unwrap();
    let shown: Vec<_> = seen.changes.iter().map(|it| (&*it.organisation_id, it.gains)).collect();
    assert_eq!(shown, [(&*left, false), (&*right, true)]);
    relocate(&mover, &trust, &right, &seen.etag).await.unwrap();
    stage.check_tree().await;
}

async fn a_move_takes_the_right_at_both_ends_and_shows_no_end_that_is_hidden(bench: Bench) {
    let (stage, platform, north, south) = deep(bench).await;
    let trust = stage.organisation(&platform, "Trust", &north).await;
    let etag = preview(&platform, &trust, &south).await.unwrap().etag;
    let nowhere = Uuid::from_u128(7).to_string();
    let stranger = stage.person("eve@example.com");
    let inside = stage.member("inside@example.com", &trust, &["owner"]).await;
    let at_old = stage.member("old@example.com", &north, &["owner"]).await;
    let sees_new = stage.member("new@example.com", &north, &["owner"]).await;
    stage.grant(&sees_new, south.parse().unwrap(), &["admin"]).await;
    for (who, to, refused) in [
        (&stranger, &*south, "ORGANISATION_NOT_FOUND"),
        (&inside, &south, "PERMISSION_MISSING"),
        (&at_old, &south, "ORGANISATION_NOT_FOUND"),
        (&at_old, &nowhere, "ORGANISATION_NOT_FOUND"),
        (&at_old, "", "PERMISSION_MISSING"),
        (&sees_new, &south, "PERMISSION_MISSING"),
        (&platform, "00000000-0000-0000-0000-000000000000", "ORGANISATION_NOT_FOUND"),
    ] {
        assert_eq!(reason(preview(who, &trust, to).await), refused, "{} {to}", who.email);
        assert_eq!(reason(relocate(who, &trust, to, &etag).await), refused, "{} {to}", who.email);
    }
    // Moving the root that one owns is for the platform.
    let seen = preview(&at_old, &north, &south).await;
    assert_eq!(reason(seen), "PERMISSION_MISSING");
    let malformed = violations(relocate(&platform, "7", "8", "").await);
    assert_eq!(malformed, ["id", "new_parent_id"]);
}

async fn what_cannot_be_is_refused_before_and_at_the_move(bench: Bench) {
    let stage = Stage::of_depth(bench, 3).await;
    let platform = stage.platform_owner().await;
    let north = stage.organisation(&platform, "North", "").await;
    let south = stage.organisation(&platform, "South", "").await;
    let trust = stage.organisation(&platform, "Trust", &north).await;
    let school = stage.organisation(&platform, "School", &trust).await;
    let other = stage.organisation(&platform, "Other", &south).await;
    let closed = stage.organisation(&platform, "Closed", &south).await;
    archive(&platform, &closed).await.unwrap();
    for (id, to, refused) in [
        (&trust, &*trust, "MOVE_POINTLESS"),
        (&trust, &school, "MOVE_POINTLESS"),
        (&trust, &north, "MOVE_POINTLESS"),
        (&north, "", "MOVE_POINTLESS"),
        (&trust, &other, "DEPTH_EXCEEDED"),
        (&north, &south, "DEPTH_EXCEEDED"),
        (&school, &closed, "ORGANISATION_ARCHIVED"),
        (&closed, &north, "ORGANISATION_ARCHIVED"),
    ] {
        assert_eq!(reason(preview(&platform, id, to).await), refused, "{to}");
        assert_eq!(reason(relocate(&platform, id, to, "").await), refused, "{to}");
    }
    stage.check_tree().await;
    // As deep as it may be.
    let etag = preview(&platform, &school, &other).await.unwrap().etag;
    relocate(&platform, &school, &other, &etag).await.unwrap();
    stage.check_tree().await;
}

async fn a_tree_that_changed_since_the_preview_is_not_moved(bench: Bench) {
    let (stage, platform, north, south) = deep(bench).await;
    let trust = stage.organisation(&platform, "Trust", &north).await;
    let aside = stage.organisation(&platform, "Aside", &south).await;
    assert_eq!(reason(relocate(&platform, &trust, &south, "").await), "ETAG_MISMATCH");
    let before = preview(&platform, &trust, &south).await.unwrap().etag;
    let other_way = preview(&platform, &aside, &north).await.unwrap().etag;
    assert_eq!(reason(relocate(&platform, &trust, &south, &other_way).await), "ETAG_MISMATCH");
    // One comes to what would move, and one leaves it: the number is the same, what moves is not.
    let first = stage.organisation(&platform, "First", &trust).await;
    assert_eq!(reason(relocate(&platform, &trust, &south, &before).await), "ETAG_MISMATCH");
    let with_first = preview(&platform, &trust, &south).await.unwrap().etag;
    for (id, to) in [(&first, &south), (&aside, &trust)] {
        let etag = preview(&platform, id, to).await.unwrap().etag;
        relocate(&platform, id, to, &etag).await.unwrap();
    }
    assert_eq!(reason(relocate(&platform, &trust, &south, &with_first).await), "ETAG_MISMATCH");
    // Memberships come and go.
    let now = preview(&platform, &trust, &south).await.unwrap().etag;
    stage.member("ada@example.com", &trust, &["admin"]).await;
    relocate(&platform, &trust, &south, &now).await.unwrap();
    stage.check_tree().await;
}

async fn custom_roles_in_use_do_not_leave_their_root(bench: Bench) {
    let (stage, platform, north, south) = deep(bench).await;
    let trust = stage.organisation(&platform, "Trust", &north).await;
    let school = stage.organisation(&platform, "School", &trust).await;
    let unused = create_role(&platform, &north, "unused", &[]).await;
    create_role(&platform, &north, "teacher", &["organisations.read"]).await;
    let refused = |answer: Result<PreviewOrganisationMoveResponse, _>| reason(answer);

    // Held.
    let ada = stage.member("ada@example.com", &school, &["teacher"]).await;
    assert_eq!(refused(preview(&platform, &trust, &south).await), "ROLE_LEFT_BEHIND");
    let row = membership::Entity::delete_many().filter(membership::Column::SubjectId.eq(ada.id));
    row.exec(stage.service.database.read()).await.unwrap();
    assert_eq!(refused(preview(&platform, &trust, &south).await), "OK");
    // Offered.
    let request = CreateInvitationRequest {
        organisation_id: school.clone(),
        email: "eve@example.com".to_owned(),
        roles: vec!["user".to_owned(), "teacher".to_owned()],
        ..Default::default()
    };
    let offer = platform.invitations().create_invitation(request).await.unwrap().into_inner();
    assert_eq!(refused(preview(&platform, &trust, &south).await), "ROLE_LEFT_BEHIND");
    assert_eq!(refused(preview(&platform, &north, &south).await), "ROLE_LEFT_BEHIND");
    let id = offer.invitation.unwrap().id;
    let request = RevokeInvitationRequest { id, ..Default::default() };
    platform.invitations().revoke_invitation(request).await.unwrap();
    assert_eq!(refused(preview(&platform, &trust, &south).await), "OK");
    // The default.
    let request = UpdateOrganisationRequest {
        organisation: Some(Organisation {
            id: school.clone(),
            invitation_policy: Some(InvitationPolicy {
                default_role: "TEACHER".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["invitation_policy".to_owned()] }),
        ..Default::default()
    };
    platform.organisations().update_organisation(request.clone()).await.unwrap();
    assert_eq!(refused(preview(&platform, &trust, &south).await), "ROLE_LEFT_BEHIND");
    // Within its root it may move all the same.
    let etag = preview(&platform, &school, &north).await.unwrap().etag;
    relocate(&platform, &school, &north, &etag).await.unwrap();
    let mut request = request;
    request.organisation.as_mut().unwrap().invitation_policy = None;
    platform.organisations().update_organisation(request).await.unwrap();

    // A root that becomes a sub-organisation has no roles of its own any more.
    let etag = preview(&platform, &north, &south).await.unwrap().etag;
    relocate(&platform, &north, &south, &etag).await.unwrap();
    stage.check_tree().await;
    let gone = platform.roles().get_role(GetRoleRequest { id: unused.id }).await;
    assert_eq!(reason(gone), "ROLE_NOT_FOUND");
}

async fn a_root_is_owned_for_good(bench: Bench) {
    let (stage, platform, north, _) = deep(bench).await;
    let trust = stage.organisation(&platform, "Trust", &north).await;
    let ada = stage.member("ada@example.com", &trust, &["owner"]).await;
    let ends = |at: Option<kernel::Time>| {
        use membership::{Column, Entity};
        Entity::update_many()
            .col_expr(Column::ExpiresAt, Expr::value(at))
            .filter(Column::SubjectId.eq(ada.id))
            .exec(stage.service.database.read())
    };
    ends(Some(stage.now() + kernel::Duration::days(1))).await.unwrap();
    assert_eq!(reason(preview(&platform, &trust, "").await), "LAST_OWNER");
    assert_eq!(reason(relocate(&platform, &trust, "", "").await), "LAST_OWNER");
    ends(None).await.unwrap();
    let etag = preview(&platform, &trust, "").await.unwrap().etag;
    let moved = relocate(&platform, &trust, "", &etag).await.unwrap();
    assert_eq!(moved.parent_id, "");
    stage.check_tree().await;
}

async fn access_to_applications_that_are_left_behind_ends(bench: Bench) {
    let (stage, platform, north, south) = deep(bench).await;
    let trust = stage.organisation(&platform, "Trust", &north).await;
    let ada = stage.member("ada@example.com", &trust, &["user"]).await;
    let mut applications = Vec::new();
    for owner in [&north, &trust] {
        let application = stage_application(&stage, owner).await;
        let trust = trust.parse().unwrap();
        let (database, now) = (stage.service.database.read(), stage.now());
        let role = Roles::from_iter([BuiltIn::User.role()]);
        application_access::grant(database, ada.id, trust, application, &role, now).await.unwrap();
        applications.push(application);
    }
    let etag = preview(&platform, &trust, &south).await.unwrap().etag;
    relocate(&platform, &trust, &south, &etag).await.unwrap();
    let left = application_access::Entity::find().all(stage.service.database.read()).await.unwrap();
    let left: Vec<_> = left.into_iter().map(|row| row.application_id).collect();
    assert_eq!(left, applications[1..]);
}

/// An application, past its own rules.
pub(crate) async fn stage_application(stage: &Stage, organisation: &str) -> Uuid {
    let (id, role_id, now) =
        (stage.service.clock.new_id(), stage.service.clock.new_id(), stage.now());
    let default = role::Model {
        id: role_id,
        owner_id: id,
        is_application_role: true,
        key: "reader".to_owned(),
        folded_key: "reader".to_owned(),
        display_name: "Reader".to_owned(),
        permissions: 0,
        invitable: true,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    let application = application::Model {
        id,
        organisation_id: organisation.parse().unwrap(),
        display_name: "Timetable".to_owned(),
        redirect_urls: String::new(),
        callback_hosts: String::new(),
        default_role_id: role_id,
        assign_on_invite: false,
        secret_generation: 1,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    let database = stage.service.database.read();
    let insert = role::Entity::insert(default.into_active_model());
    insert.exec_without_returning(database).await.unwrap();
    let insert = application::Entity::insert(application.into_active_model());
    insert.exec_without_returning(database).await.unwrap();
    id
}
