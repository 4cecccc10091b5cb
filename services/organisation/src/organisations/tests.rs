//! What the tree does for those who use it.

mod archive;
mod list;
mod moves;
pub(crate) use moves::stage_application;
mod policy;
mod races;
mod scenarios;

use api::organisation::v1::*;

use crate::testing::{Stage, Who};

async fn list(who: &Who, request: ListOrganisationsRequest) -> Vec<Organisation> {
    let answer = who.organisations().list_organisations(request).await;
    answer.unwrap().into_inner().organisations
}

/// The names that a list answers, in its order.
async fn names(who: &Who, request: ListOrganisationsRequest) -> Vec<String> {
    list(who, request).await.into_iter().map(|it| it.display_name).collect()
}

async fn get(who: &Who, id: &str) -> Result<Organisation, tonic::Status> {
    let request = GetOrganisationRequest { id: id.to_owned() };
    let answer = who.organisations().get_organisation(request).await?;
    Ok(answer.into_inner().organisation.unwrap())
}

async fn archive(who: &Who, id: &str) -> Result<Organisation, tonic::Status> {
    let request = ArchiveOrganisationRequest { id: id.to_owned(), ..Default::default() };
    let answer = who.organisations().archive_organisation(request).await?;
    Ok(answer.into_inner().organisation.unwrap())
}

async fn restore(who: &Who, id: &str) -> Result<Organisation, tonic::Status> {
    let request = RestoreOrganisationRequest { id: id.to_owned(), ..Default::default() };
    let answer = who.organisations().restore_organisation(request).await?;
    Ok(answer.into_inner().organisation.unwrap())
}

async fn preview(
    who: &Who,
    id: &str,
    to: &str,
) -> Result<PreviewOrganisationMoveResponse, tonic::Status> {
    let request = PreviewOrganisationMoveRequest {
        id: id.to_owned(),
        new_parent_id: to.to_owned(),
        ..Default::default()
    };
    Ok(who.organisations().preview_organisation_move(request).await?.into_inner())
}

async fn relocate(
    who: &Who,
    id: &str,
    to: &str,
    etag: &str,
) -> Result<Organisation, tonic::Status> {
    let request = MoveOrganisationRequest {
        id: id.to_owned(),
        new_parent_id: to.to_owned(),
        etag: etag.to_owned(),
        ..Default::default()
    };
    let answer = who.organisations().move_organisation(request).await?;
    Ok(answer.into_inner().organisation.unwrap())
}

async fn create_role(who: &Who, root: &str, key: &str, permissions: &[&str]) -> Role {
    let request = CreateRoleRequest {
        organisation_id: root.to_owned(),
        key: key.to_owned(),
        permissions: permissions.iter().map(|it| (*it).to_owned()).collect(),
        ..Default::default()
    };
    who.roles().create_role(request).await.unwrap().into_inner().role.unwrap()
}

/// A moves-everything stage: the platform owner, two roots, and a tree below the first.
async fn deep(bench: testkit::Bench) -> (Stage, Who, String, String) {
    let stage = Stage::of_depth(bench, 8).await;
    let platform = stage.platform_owner().await;
    let north = stage.organisation(&platform, "North", "").await;
    let south = stage.organisation(&platform, "South", "").await;
    (stage, platform, north, south)
}
