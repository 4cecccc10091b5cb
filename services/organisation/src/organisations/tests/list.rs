use api::organisation::v1::*;
use kernel::{Duration, Time};
use sea_orm::{entity::prelude::*, sea_query::Expr};
use testkit::Bench;

use super::{deep, get, list, names};
use crate::{
    entity::membership::{Column, Entity, State},
    testing::{Stage, Who, reason, violations},
};

testkit::on_both_databases!(
    pages_of_every_kind_of_list_hold_each_organisation_once_in_order,
    each_word_of_a_query_begins_a_word_of_the_name,
    a_caller_sees_what_they_are_a_member_of_and_what_is_below,
    t12_a_membership_that_does_not_count_shows_nothing,
    what_is_wrong_with_a_list_is_named_at_once,
);

/// Everything that a list has, page by page.
async fn pages(who: &Who, request: &ListOrganisationsRequest) -> Vec<String> {
    let mut request = ListOrganisationsRequest { page_size: 2, ..request.clone() };
    let mut all = Vec::new();
    loop {
        let answer = who.organisations().list_organisations(request.clone()).await;
        let answer = answer.unwrap().into_inner();
        all.extend(answer.organisations.into_iter().map(|it| it.display_name));
        request.page_token = answer.next_page_token;
        if request.page_token.is_empty() {
            return all;
        }
    }
}

async fn pages_of_every_kind_of_list_hold_each_organisation_once_in_order(bench: Bench) {
    let (stage, platform, north, _) = deep(bench).await;
    let ada = stage.member("ada@example.com", &north, &["user"]).await;
    for name in ["delta", "\u{c9}lan", "Alpha", "echo", "Bravo"] {
        let child = stage.organisation(&platform, name, &north).await;
        stage.grant(&ada, child.parse().unwrap(), &["user"]).await;
    }
    let made = ["delta", "\u{c9}lan", "Alpha", "echo", "Bravo"].as_slice();
    let by_name = ["Alpha", "Bravo", "delta", "echo", "\u{c9}lan"].as_slice();
    let below = |parent: &str, recursive| ListOrganisationsRequest {
        parent_id: parent.to_owned(),
        recursive,
        ..Default::default()
    };
    for (who, request, above) in [
        (&ada, below(&north, false), &[][..]),
        (&ada, below(&north, true), &[]),
        (&ada, below("", false), &["North"]),
        (&ada, below("", true), &["North"]),
        (&platform, below("", true), &["North", "South"]),
    ] {
        // By name both come after, in the order of creation before all others.
        let created: Vec<_> = above.iter().chain(made).copied().collect();
        let named: Vec<_> = by_name.iter().chain(above).copied().collect();
        for (order_by, expected) in [("created_at", created), ("display_name", named)] {
            let request =
                ListOrganisationsRequest { order_by: order_by.to_owned(), ..request.clone() };
            assert_eq!(pages(who, &request).await, expected, "{request:?}");
            let order_by = format!("{order_by} desc");
            let backwards = ListOrganisationsRequest { order_by, ..request };
            let expected: Vec<_> = expected.into_iter().rev().collect();
            assert_eq!(pages(who, &backwards).await, expected, "{backwards:?}");
        }
    }
}

async fn each_word_of_a_query_begins_a_word_of_the_name(bench: Bench) {
    let (stage, platform, north, _) = deep(bench).await;
    stage.organisation(&platform, "St. Mary's Primary School", &north).await;
    stage.organisation(&platform, "St. Martin's College", &north).await;
    for (query, found) in [
        ("mar", 2),
        ("MAR st", 2),
        ("mary", 1),
        ("pri mar", 1),
        ("rimary", 0),
        ("mar zzz", 0),
        ("coll\u{e9}ge", 1),
        ("%", 2),
        ("mar%", 2),
        ("ma_y", 0),
    ] {
        let request = ListOrganisationsRequest {
            parent_id: north.clone(),
            query: query.to_owned(),
            ..Default::default()
        };
        assert_eq!(names(&platform, request).await.len(), found, "{query}");
    }
}

async fn a_caller_sees_what_they_are_a_member_of_and_what_is_below(bench: Bench) {
    let (stage, platform, north, south) = deep(bench).await;
    let middle = stage.organisation(&platform, "Middle", &north).await;
    let bottom = stage.organisation(&platform, "Bottom", &middle).await;
    stage.organisation(&platform, "Beside", &north).await;
    let ada = stage.member("ada@example.com", &middle, &["user"]).await;
    stage.grant(&ada, bottom.parse().unwrap(), &["user"]).await;
    stage.grant(&ada, south.parse().unwrap(), &["user"]).await;
    let all = |recursive| ListOrganisationsRequest { recursive, ..Default::default() };
    assert_eq!(names(&ada, all(false)).await, ["South", "Middle", "Bottom"]);
    stage.organisation(&platform, "Leaf", &bottom).await;
    assert_eq!(names(&ada, all(false)).await, ["South", "Middle", "Bottom"]);
    assert_eq!(names(&ada, all(true)).await, ["South", "Middle", "Bottom", "Leaf"]);
    // Each as it is read alone: the parent shows only to whom it is visible.
    for seen in list(&ada, all(true)).await {
        assert_eq!(get(&ada, &seen.id).await.unwrap(), seen);
        assert_eq!(seen.parent_id.is_empty(), ["South", "Middle"].contains(&&*seen.display_name));
    }
    let below = ListOrganisationsRequest { parent_id: north.clone(), ..all(true) };
    let refused = ada.organisations().list_organisations(below).await;
    assert_eq!(reason(refused), "ORGANISATION_NOT_FOUND");
}

async fn t12_a_membership_that_does_not_count_shows_nothing(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let child = stage.organisation(&owner, "Child 1", &root).await;
    let ada = stage.member("ada@example.com", &root, &["admin"]).await;
    let lists = [
        ListOrganisationsRequest::default(),
        ListOrganisationsRequest { recursive: true, show_archived: true, ..Default::default() },
    ];
    let (past, future) = (stage.now() - Duration::hours(1), stage.now() + Duration::hours(1));
    for (state, from, until, counts) in [
        (State::Active, None, None, true),
        (State::Active, Some(past), Some(future), true),
        (State::Suspended, None, None, false),
        (State::Active, Some(future), None, false),
        (State::Active, None, Some(past), false),
        (State::Active, None, Some(stage.now()), false),
    ] {
        set(&stage, &ada, state, from, until).await;
        for request in lists.clone() {
            let seen = names(&ada, request).await;
            assert_eq!(!seen.is_empty(), counts, "{state:?} {from:?} {until:?}: {seen:?}");
        }
        let request = ListOrganisationsRequest { parent_id: root.clone(), ..Default::default() };
        assert_eq!(ada.organisations().list_organisations(request).await.is_ok(), counts);
        assert_eq!(get(&ada, &child).await.is_ok(), counts);
    }
    // A membership with roles that do not allow to look shows nothing either.
    set(&stage, &ada, State::Suspended, None, None).await;
    super::create_role(&owner, &root, "blind", &["invitations.create"]).await;
    stage.grant(&ada, child.parse().unwrap(), &["blind"]).await;
    for request in lists {
        assert_eq!(names(&ada, request).await, [""; 0]);
    }
}

async fn set(stage: &Stage, who: &Who, state: State, from: Option<Time>, until: Option<Time>) {
    Entity::update_many()
        .col_expr(Column::State, Expr::value(state))
        .col_expr(Column::ValidFrom, Expr::value(from))
        .col_expr(Column::ExpiresAt, Expr::value(until))
        .filter(Column::SubjectId.eq(who.id))
        .exec(stage.service.database.read())
        .await
        .unwrap();
}

async fn what_is_wrong_with_a_list_is_named_at_once(bench: Bench) {
    let stage = Stage::set(bench).await;
    let ada = stage.person("ada@example.com");
    let request = ListOrganisationsRequest {
        parent_id: "7".to_owned(),
        page_size: 101,
        order_by: "email".to_owned(),
        query: "x".repeat(201),
        ..Default::default()
    };
    let named = violations(ada.organisations().list_organisations(request).await);
    assert_eq!(named, ["parent_id", "page_size", "order_by", "query"]);
}
