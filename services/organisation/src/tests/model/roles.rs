use super::{Model, Role, Roles, Stands};
use crate::domain::{
    permission::{Permission, Permissions},
    role::BuiltIn,
};

impl Model {
    /// The roles that can be given at a node: built-in ones, and those of its root.
    pub(in crate::tests) fn given_at(&self, node: usize) -> Vec<Role> {
        let root = self.root_of(node);
        let built_in = [BuiltIn::Owner, BuiltIn::Admin, BuiltIn::Approver, BuiltIn::User];
        let custom = self.custom.iter().filter(|(_, role)| role.root == root);
        let custom = custom.map(|(number, _)| Role::Custom(*number));
        built_in.map(Role::BuiltIn).into_iter().chain(custom).collect()
    }

    /// All that some roles allow together; one that is gone allows nothing.
    pub(super) fn all_of(&self, roles: &Roles) -> Permissions {
        let of = |role: &Role| match role {
            Role::BuiltIn(role) => role.permissions(),
            Role::Custom(number) => {
                self.custom.get(number).map_or(Permissions::NONE, |role| role.permissions)
            }
        };
        roles.iter().fold(Permissions::NONE, |all, role| all.union(of(role)))
    }

    pub(in crate::tests) fn can_create_role(
        &self,
        by: usize,
        root: usize,
        permissions: Permissions,
    ) -> bool {
        self.nodes[root].parent.is_none()
            && self.may(by, root, Permission::RolesManage)
            && permissions.is_subset_of(self.rights(by, root))
    }

    pub(in crate::tests) fn can_change_role(
        &self,
        by: usize,
        number: usize,
        after: Permissions,
    ) -> bool {
        let role = &self.custom[&number];
        self.can_create_role(by, role.root, role.permissions.union(after))
    }

    pub(in crate::tests) fn can_delete_role(
        &self,
        by: usize,
        number: usize,
        instead: Option<Role>,
    ) -> bool {
        let (role, root) = (Role::Custom(number), self.custom[&number].root);
        let replaced = match instead {
            Some(other) => other != role && self.given_at(root).contains(&other),
            None => !self.at_and_below(root).into_iter().any(|node| self.is_used(role, node)),
        };
        let both = [role].into_iter().chain(instead).collect();
        self.may(by, root, Permission::RolesManage) && self.covers(by, root, &both) && replaced
    }

    /// Whoever has it or is offered it has the other instead.
    pub(in crate::tests) fn delete_role(&mut self, number: usize, instead: Option<Role>) {
        let pending = self.invitations.iter_mut().filter(|it| it.stands == Stands::Pending);
        let offered = pending.map(|it| &mut it.roles);
        let held = self.memberships.values_mut().map(|it| &mut it.roles);
        for roles in held.chain(offered) {
            if roles.remove(&Role::Custom(number)) {
                roles.extend(instead);
            }
        }
        self.custom.remove(&number);
    }

    /// Whether a custom role is held or offered at some nodes.
    pub(super) fn custom_in_use(&self, nodes: &[usize]) -> bool {
        let mut custom = self.custom.keys().map(|number| Role::Custom(*number));
        custom.any(|role| nodes.iter().any(|node| self.is_used(role, *node)))
    }

    fn is_used(&self, role: Role, node: usize) -> bool {
        let mut held = self.memberships.iter().filter(|((_, at), _)| *at == node);
        let pending = |stands| stands == Stands::Pending;
        let mut offered =
            self.invitations.iter().filter(|it| it.node == node && pending(it.stands));
        held.any(|(_, it)| it.roles.contains(&role)) || offered.any(|it| it.roles.contains(&role))
    }
}
