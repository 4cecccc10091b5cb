use api::organisation::v1::*;
use prost_types::FieldMask;
use testkit::Bench;

use super::{create_role, get};
use crate::testing::{Stage, Who, reason, violations};

testkit::on_both_databases!(
    every_wrong_field_of_a_new_organisation_is_named_at_once,
    whoever_may_not_read_the_parent_learns_nothing_of_its_roles,
    a_policy_is_kept_normalised_and_changed_field_by_field,
    a_renamed_organisation_is_found_by_its_new_name_alone,
    an_update_names_what_it_changes_and_what_it_has_seen,
    the_tree_becomes_as_deep_as_the_setting_says,
);

fn policy(domains: &[&str], default_role: &str) -> InvitationPolicy {
    InvitationPolicy {
        allowed_domains: domains.iter().map(|it| (*it).to_owned()).collect(),
        default_role: default_role.to_owned(),
        ..Default::default()
    }
}

async fn create(
    who: &Who,
    parent: &str,
    name: &str,
    policy: InvitationPolicy,
) -> Result<Organisation, tonic::Status> {
    let request = CreateOrganisationRequest {
        display_name: name.to_owned(),
        parent_id: parent.to_owned(),
        invitation_policy: Some(policy),
        ..Default::default()
    };
    Ok(who.organisations().create_organisation(request).await?.into_inner().organisation.unwrap())
}

async fn update(
    who: &Who,
    organisation: Organisation,
    paths: &[&str],
) -> Result<Organisation, tonic::Status> {
    let paths = paths.iter().map(|it| (*it).to_owned()).collect();
    let request = UpdateOrganisationRequest {
        organisation: Some(organisation),
        update_mask: Some(FieldMask { paths }),
        ..Default::default()
    };
    Ok(who.organisations().update_organisation(request).await?.into_inner().organisation.unwrap())
}

async fn every_wrong_field_of_a_new_organisation_is_named_at_once(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let mut wrong = policy(&["example.com", "no domain"], "nobody-knows-it");
    wrong.existing_account = 7;
    let named = violations(create(&owner, &root, "", wrong).await);
    assert_eq!(
        named,
        [
            "display_name",
            "invitation_policy.allowed_domains[1]",
            "invitation_policy.existing_account",
            "invitation_policy.default_role",
        ]
    );
    let many: Vec<_> = (0..51).map(|n| format!("d{n}.example")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let named = violations(create(&owner, &root, "Child", policy(&many, "")).await);
    assert_eq!(named, ["invitation_policy.allowed_domains"]);
    // `support` is for the platform alone: no root gives it.
    let platform = stage.platform_owner().await;
    let named = violations(create(&platform, "", "Root", policy(&[], "support")).await);
    assert_eq!(named, ["invitation_policy.default_role"]);
}

async fn whoever_may_not_read_the_parent_learns_nothing_of_its_roles(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    create_role(&owner, &root, "team", &[]).await;
    let stranger = stage.person("eve@example.com");
    for role in ["team", "nobody-knows-it"] {
        let named = violations(create(&stranger, &root, "", policy(&[], role)).await);
        assert_eq!(named, ["display_name"], "{role}");
        let refused = create(&stranger, &root, "Child", policy(&[], role)).await;
        assert_eq!(reason(refused), "ORGANISATION_NOT_FOUND", "{role}");
    }
}

async fn a_policy_is_kept_normalised_and_changed_field_by_field(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    create_role(&owner, &root, "Team", &[]).await;
    let domains = ["EXAMPLE.com", "b\u{fc}cher.example", "example.com"];
    let child = create(&owner, &root, "Child", policy(&domains, "TEAM")).await.unwrap();
    let kept = child.invitation_policy.clone().unwrap();
    assert_eq!(kept.allowed_domains, ["example.com", "xn--bcher-kva.example"]);
    assert_eq!(kept.default_role, "Team");

    let mut wanted = child.clone();
    wanted.invitation_policy = Some(InvitationPolicy {
        approval_required: true,
        existing_account: ExistingAccountPolicy::Refuse.into(),
        // Neither is named by the mask: neither is read.
        default_role: "not a key".to_owned(),
        allowed_domains: vec!["no domain".to_owned()],
    });
    let paths = ["invitation_policy.approval_required", "invitation_policy.existing_account"];
    let changed = update(&owner, wanted, &paths).await.unwrap();
    let expected = InvitationPolicy {
        approval_required: true,
        existing_account: ExistingAccountPolicy::Refuse.into(),
        ..kept
    };
    assert_eq!(changed.invitation_policy, Some(expected));
    assert_eq!(changed.display_name, "Child");

    let cleared = Organisation { invitation_policy: None, ..changed };
    let cleared = update(&owner, cleared, &["invitation_policy"]).await.unwrap();
    assert_eq!(cleared.invitation_policy, Some(InvitationPolicy::default()));
    assert_eq!(get(&owner, &cleared.id).await.unwrap(), cleared);
}

async fn a_renamed_organisation_is_found_by_its_new_name_alone(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let renamed = Organisation {
        display_name: "Z\u{fc}rich Trust".to_owned(),
        ..get(&owner, &root).await.unwrap()
    };
    update(&owner, renamed, &["display_name"]).await.unwrap();
    for (query, found) in
        [("zur", true), ("TRUST zuer", false), ("tru zurich", true), ("abc", false)]
    {
        let request = ListOrganisationsRequest { query: query.to_owned(), ..Default::default() };
        assert_eq!(!super::names(&owner, request).await.is_empty(), found, "{query}");
    }
}

async fn an_update_names_what_it_changes_and_what_it_has_seen(bench: Bench) {
    let stage = Stage::set(bench).await;
    let (owner, root) = stage.root("ABC Holdings").await;
    let read = get(&owner, &root).await.unwrap();
    for paths in [&[][..], &["parent_id"], &["display_name", "archived"], &["*"]] {
        let named = violations(update(&owner, read.clone(), paths).await);
        assert_eq!(named, ["update_mask"], "{paths:?}");
    }
    update(&owner, read.clone(), &["display_name"]).await.unwrap();
    assert_eq!(reason(update(&owner, read.clone(), &["display_name"]).await), "ETAG_MISMATCH");
    let blind = Organisation { etag: String::new(), ..read.clone() };
    update(&owner, blind, &["display_name"]).await.unwrap();
    let user = stage.member("user@example.com", &root, &["user"]).await;
    assert_eq!(reason(update(&user, read.clone(), &["display_name"]).await), "PERMISSION_MISSING");
    // An unknown role is named with what else is wrong, to whom reads the organisation.
    let wrong = Organisation {
        display_name: String::new(),
        invitation_policy: Some(policy(&[], "nobody-knows-it")),
        ..read
    };
    let named = violations(update(&user, wrong, &["display_name", "invitation_policy"]).await);
    assert_eq!(named, ["organisation.display_name", "organisation.invitation_policy.default_role"]);
}

async fn the_tree_becomes_as_deep_as_the_setting_says(bench: Bench) {
    let stage = Stage::of_depth(bench, 8).await;
    let (owner, root) = stage.root("Tier 1").await;
    let mut lowest = root;
    for tier in 2..=8 {
        lowest = stage.organisation(&owner, &format!("Tier {tier}"), &lowest).await;
    }
    let request = CreateOrganisationRequest {
        display_name: "Tier 9".to_owned(),
        parent_id: lowest.clone(),
        ..Default::default()
    };
    let refused = owner.organisations().create_organisation(request).await;
    assert_eq!(reason(refused), "DEPTH_EXCEEDED");
    // What is held at the top holds at the bottom.
    assert!(stage.allows(&owner, &lowest, "owners.manage").await);
}
