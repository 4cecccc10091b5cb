use api::organisation::v1::{Role as Proto, *};
use prost_types::FieldMask;

use crate::{
    domain::permission::{Permission, Permissions},
    tests::{
        life::{Disagreement, Life},
        model::{Custom, Role},
    },
};

impl Life {
    pub(in crate::tests) async fn create_role(
        &mut self,
        by: usize,
        root: usize,
        permissions: Permissions,
    ) -> Result<bool, Disagreement> {
        let expected = self.model.can_create_role(by, root, permissions);
        // No key is used again: a role that was deleted stays gone.
        let number = self.story.len();
        let request = CreateRoleRequest {
            organisation_id: self.id(root),
            key: Role::Custom(number).key(),
            permissions: texts(permissions),
            ..Default::default()
        };
        let answer = self.who(by).roles().create_role(request).await;
        let told = format!("{by} creates custom-{number} at {root} ({permissions})");
        let Some(answer) = self.agree(told, expected, answer)? else { return Ok(false) };
        let id = answer.into_inner().role.unwrap().id;
        self.model.custom.insert(number, Custom { id, root, permissions });
        Ok(true)
    }

    pub(in crate::tests) async fn change_role(
        &mut self,
        by: usize,
        number: usize,
        after: Permissions,
    ) -> Result<bool, Disagreement> {
        let expected = self.model.can_change_role(by, number, after);
        let id = self.model.custom[&number].id.clone();
        let role = Proto { id, permissions: texts(after), ..Default::default() };
        let request = UpdateRoleRequest {
            role: Some(role),
            update_mask: Some(FieldMask { paths: vec!["permissions".to_owned()] }),
            ..Default::default()
        };
        let answer = self.who(by).roles().update_role(request).await;
        let told = format!("{by} changes custom-{number} to ({after})");
        let done = self.agree(told, expected, answer)?.is_some();
        if done {
            self.model.custom.get_mut(&number).unwrap().permissions = after;
        }
        Ok(done)
    }

    pub(in crate::tests) async fn delete_role(
        &mut self,
        by: usize,
        number: usize,
        instead: Option<Role>,
    ) -> Result<bool, Disagreement> {
        let expected = self.model.can_delete_role(by, number, instead);
        let request = DeleteRoleRequest {
            id: self.model.custom[&number].id.clone(),
            replacement: instead.map(Role::key).unwrap_or_default(),
            ..Default::default()
        };
        let answer = self.who(by).roles().delete_role(request).await;
        let told = format!("{by} deletes custom-{number}, instead {instead:?}");
        let done = self.agree(told, expected, answer)?;
        Ok(done.map(|_| self.model.delete_role(number, instead)).is_some())
    }
}

fn texts(permissions: Permissions) -> Vec<String> {
    permissions.iter().map(Permission::as_str).map(str::to_owned).collect()
}
