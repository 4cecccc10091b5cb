use api::organisation::v1::*;
use testkit::Bench;

use super::{archive, deep, get, list, restore};
use crate::testing::{Stage, reason};

testkit::on_both_databases!(
    an_archived_organisation_is_closed_with_all_below_and_opens_again,
    what_was_archived_by_itself_stays_archived,
    archiving_and_restoring_twice_is_once,
    only_who_could_restore_it_still_sees_it,
);

async fn an_archived_organisation_is_closed_with_all_below_and_opens_again(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let child = stage.organisation(&owner, "Child 1", &root).await;
    let user = stage.member("user@example.com", &child, &["user"]).await;
    let before = get(&owner, &child).await.unwrap();
    assert!(archive(&owner, &root).await.unwrap().archived);
    stage.check_tree().await;
    let closed = get(&owner, &child).await.unwrap();
    assert!(closed.archived && closed.etag != before.etag);
    assert_eq!(reason(get(&user, &child).await), "ORGANISATION_NOT_FOUND");
    let request = CreateOrganisationRequest {
        display_name: "Child 2".to_owned(),
        parent_id: root.clone(),
        ..Default::default()
    };
    let refused = owner.organisations().create_organisation(request).await;
    assert_eq!(reason(refused), "ORGANISATION_ARCHIVED");

    assert!(!restore(&owner, &root).await.unwrap().archived);
    stage.check_tree().await;
    assert!(!get(&user, &child).await.unwrap().archived);
    stage.organisation(&owner, "Child 2", &root).await;
}

async fn what_was_archived_by_itself_stays_archived(bench: Bench) {
    let (stage, platform, north, _) = deep(bench).await;
    let child = stage.organisation(&platform, "Child", &north).await;
    let grandchild = stage.organisation(&platform, "Grandchild", &child).await;
    let other = stage.organisation(&platform, "Other", &north).await;
    archive(&platform, &child).await.unwrap();
    archive(&platform, &north).await.unwrap();
    assert_eq!(reason(restore(&platform, &child).await), "ORGANISATION_ARCHIVED");
    assert_eq!(reason(restore(&platform, &other).await), "ORGANISATION_ARCHIVED");
    restore(&platform, &north).await.unwrap();
    stage.check_tree().await;
    for (id, archived) in [(&north, false), (&child, true), (&grandchild, true), (&other, false)] {
        assert_eq!(get(&platform, id).await.unwrap().archived, archived);
    }
    // Archived when all of it was closed already: it stays closed when that opens.
    restore(&platform, &child).await.unwrap();
    archive(&platform, &north).await.unwrap();
    archive(&platform, &child).await.unwrap();
    restore(&platform, &north).await.unwrap();
    stage.check_tree().await;
    assert!(get(&platform, &grandchild).await.unwrap().archived);
}

async fn archiving_and_restoring_twice_is_once(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let once = archive(&owner, &root).await.unwrap();
    assert_eq!(archive(&owner, &root).await.unwrap(), once);
    let once = restore(&owner, &root).await.unwrap();
    assert_eq!(restore(&owner, &root).await.unwrap(), once);
}

async fn only_who_could_restore_it_still_sees_it(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let child = stage.organisation(&owner, "Child 1", &root).await;
    let user = stage.member("user@example.com", &root, &["user"]).await;
    // Sees the root as a user, and could restore the child alone.
    let both = stage.member("both@example.com", &root, &["user"]).await;
    stage.grant(&both, child.parse().unwrap(), &["admin"]).await;
    assert_eq!(reason(archive(&user, &child).await), "PERMISSION_MISSING");
    archive(&both, &child).await.unwrap();
    for (who, sees) in [(&owner, true), (&both, true), (&user, false)] {
        assert_eq!(get(who, &child).await.is_ok(), sees, "{}", who.email);
        for (recursive, parent_id) in [(false, &root), (true, &root), (true, &String::new())] {
            let request = ListOrganisationsRequest {
                parent_id: parent_id.clone(),
                recursive,
                show_archived: true,
                ..Default::default()
            };
            let shown = list(who, request.clone()).await;
            assert_eq!(shown.iter().any(|it| it.id == child && it.archived), sees, "{}", who.email);
            let open = ListOrganisationsRequest { show_archived: false, ..request };
            assert!(list(who, open).await.iter().all(|it| it.id != child));
        }
    }
    assert_eq!(reason(restore(&user, &child).await), "ORGANISATION_NOT_FOUND");
}
