//! What roles do for those who configure them.

mod ceiling;
mod delete;
mod manage;

use api::organisation::v1::*;
use tonic::Status;

use crate::testing::Who;

async fn create(who: &Who, root: &str, key: &str, permissions: &[&str]) -> Result<Role, Status> {
    let request = CreateRoleRequest {
        organisation_id: root.to_owned(),
        key: key.to_owned(),
        permissions: permissions.iter().map(|it| (*it).to_owned()).collect(),
        ..Default::default()
    };
    Ok(who.roles().create_role(request).await?.into_inner().role.unwrap())
}

async fn update(who: &Who, role: Role, paths: &[&str]) -> Result<Role, Status> {
    let paths = paths.iter().map(|it| (*it).to_owned()).collect();
    let request = UpdateRoleRequest {
        role: Some(role),
        update_mask: Some(prost_types::FieldMask { paths }),
        ..Default::default()
    };
    Ok(who.roles().update_role(request).await?.into_inner().role.unwrap())
}

async fn delete(who: &Who, id: &str, replacement: &str) -> Result<(), Status> {
    let request = DeleteRoleRequest {
        id: id.to_owned(),
        replacement: replacement.to_owned(),
        ..Default::default()
    };
    who.roles().delete_role(request).await.map(|_| ())
}

async fn get(who: &Who, id: &str) -> Result<Role, Status> {
    let answer = who.roles().get_role(GetRoleRequest { id: id.to_owned() }).await?;
    Ok(answer.into_inner().role.unwrap())
}

async fn keys(who: &Who, organisation: &str) -> Result<Vec<String>, Status> {
    let request =
        ListRolesRequest { organisation_id: organisation.to_owned(), ..Default::default() };
    let roles = who.roles().list_roles(request).await?.into_inner().roles;
    Ok(roles.into_iter().map(|role| role.key).collect())
}
