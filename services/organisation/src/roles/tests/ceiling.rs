use api::organisation::v1::*;
use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use testkit::Bench;

use super::{create, delete, update};
use crate::{
    domain::permission::{Permission, Permissions},
    testing::{Stage, reason},
};

testkit::on_both_databases!(t06_nobody_makes_or_changes_a_role_beyond_what_they_hold);

/// What an editor holds, and three sets that are mostly of it.
fn sets() -> impl Strategy<Value = (Permissions, [Permissions; 3])> {
    let all = Permissions::all().bits();
    let manager = Permissions::of(&[Permission::OrganisationsRead, Permission::RolesManage]).bits();
    let beyond = prop_oneof![2 => Just(0_i64), 1 => (0_u32..23).prop_map(|place| 1 << place)];
    let near = move |editor: i64| {
        (0..=all, beyond.clone()).prop_map(move |(some, one)| editor & some | one)
    };
    (0..=all).prop_flat_map(move |bits| {
        let editor = bits | manager;
        let near = [near(editor), near(editor), near(editor)];
        (Just(editor), near).prop_map(|(editor, sets)| {
            (Permissions::from_bits(editor), sets.map(Permissions::from_bits))
        })
    })
}

fn keys(set: Permissions) -> Vec<String> {
    set.iter().map(|permission| permission.as_str().to_owned()).collect()
}

/// Sets of permissions at random for the editor, and for a role before, after and instead: what an
/// editor makes is within what they hold; so is what they change, before and after; and so are a role
/// that they delete and its replacement.
async fn t06_nobody_makes_or_changes_a_role_beyond_what_they_hold(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let mut runner = TestRunner::deterministic();
    let mut outcomes = [[0; 2]; 3];
    for round in 0..60 {
        let (held, [before, after, instead]) = sets().new_tree(&mut runner).unwrap().current();
        let texts = keys(held);
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        create(&owner, &root, &format!("editor-{round}"), &texts).await.unwrap();
        let email = format!("editor-{round}@example.com");
        let editor = stage.member(&email, &root, &[&format!("editor-{round}")]).await;

        let request = |key: String, set| CreateRoleRequest {
            organisation_id: root.clone(),
            key,
            permissions: keys(set),
            ..Default::default()
        };
        let made = editor.roles().create_role(request(format!("made-{round}"), before)).await;
        let within = before.is_subset_of(held);
        assert_eq!(reason(made), expected(within), "{held} makes {before}");
        outcomes[0][usize::from(within)] += 1;

        let role = owner.roles().create_role(request(format!("role-{round}"), before)).await;
        let role = role.unwrap().into_inner().role.unwrap();
        let other = owner.roles().create_role(request(format!("other-{round}"), instead)).await;
        let other = other.unwrap().into_inner().role.unwrap();
        let within = before.union(instead).is_subset_of(held);
        if !within {
            let deleted = delete(&editor, &role.id, &other.key).await;
            assert_eq!(reason(deleted), expected(false), "{held} replaces {before} by {instead}");
        }
        let wanted = Role { permissions: keys(after), ..role.clone() };
        let changed = update(&editor, wanted, &["permissions"]).await;
        let may_change = before.union(after).is_subset_of(held);
        assert_eq!(reason(changed), expected(may_change), "{held} makes {after} of {before}");
        outcomes[1][usize::from(may_change)] += 1;
        let may_delete = within && (!may_change || after.is_subset_of(held));
        if may_delete {
            assert_eq!(reason(delete(&editor, &role.id, &other.key).await), "OK");
        }
        outcomes[2][usize::from(may_delete)] += 1;
    }
    // Both ways were taken, each time.
    assert!(outcomes.iter().flatten().all(|count| *count > 5), "{outcomes:?}");
}

fn expected(within: bool) -> &'static str {
    if within { "OK" } else { "GRANT_CEILING_EXCEEDED" }
}
