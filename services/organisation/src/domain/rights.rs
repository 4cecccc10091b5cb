use super::{
    permission::{Permission, Permissions},
    role::{Role, Roles},
};

/// The roles that a subject holds at a node, each with the distance of the node that it was given
/// at: 0 for the node itself. Roles below or beside it do not appear: rights inherit downward only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rights(pub(crate) Vec<(i32, Role)>);

/// Who gives a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Giver {
    Person,
    ServiceAccount,
}

/// Why something is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// The subject may not even see the organisation.
    Hidden,
    /// The subject sees it, but lacks this.
    Missing(Permission),
    /// The role holds permissions that the giver lacks.
    AboveCeiling(Role),
    /// Only a person may give this role.
    NotInvitable(Role),
}

impl Rights {
    fn permissions(&self) -> Permissions {
        let sets = self.0.iter().map(|(_, role)| role.permissions());
        sets.fold(Permissions::default(), Permissions::union)
    }

    pub(crate) fn allow(&self, permission: Permission) -> bool {
        self.permissions().contains(permission)
    }

    /// Whether the subject holds the permission at the parent of the node.
    pub(crate) fn allow_above(&self, permission: Permission) -> bool {
        let above = self.0.iter().filter(|(distance, _)| *distance > 0);
        above.map(|(_, role)| role.permissions()).any(|set| set.contains(permission))
    }

    /// What these rights are at a child of the node.
    pub(crate) fn one_tier_down(&self) -> Self {
        Self(self.0.iter().map(|(distance, role)| (distance + 1, *role)).collect())
    }

    /// Asks for a permission; what cannot be seen is hidden, whatever was asked for.
    pub(crate) fn require(&self, permission: Permission) -> Result<(), Denied> {
        if !self.allow(Permission::OrganisationsRead) {
            Err(Denied::Hidden)
        } else if !self.allow(permission) {
            Err(Denied::Missing(permission))
        } else {
            Ok(())
        }
    }

    /// The grant ceiling: nobody grants what they do not hold at the node, and a caller that is not
    /// a person grants only roles marked invitable.
    pub(crate) fn require_to_grant(&self, roles: &Roles, giver: Giver) -> Result<(), Denied> {
        for role in roles.iter() {
            if giver == Giver::ServiceAccount && !role.is_invitable() {
                return Err(Denied::NotInvitable(role));
            }
            if !role.permissions().is_subset_of(self.permissions()) {
                return Err(Denied::AboveCeiling(role));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use kernel::Fields;

    use super::*;

    fn roles(roles: &[Role]) -> Roles {
        let texts: Vec<_> = roles.iter().map(|role| role.as_str().to_owned()).collect();
        Roles::read(&mut Fields::default(), &texts).unwrap()
    }

    /// Every set of held roles against every role offered: 16 × 4 cases, so none is left to chance.
    #[test]
    fn t06_nobody_grants_a_permission_that_they_lack() {
        for bits in 0..16u8 {
            let held: Vec<_> =
                (0..4).filter(|i| bits & (1 << i) != 0).map(|i| (0, Role::ALL[i])).collect();
            let rights = Rights(held);
            for offered in Role::ALL {
                let granted = rights.require_to_grant(&roles(&[offered]), Giver::Person).is_ok();
                let exceeds = Permission::ALL.into_iter().any(|permission| {
                    offered.permissions().contains(permission) && !rights.allow(permission)
                });
                assert_eq!(granted, !exceeds, "{rights:?} offers {offered:?}");
            }
        }
    }

    #[test]
    fn a_service_account_grants_invitable_roles_alone() {
        let rights = Rights(vec![(0, Role::Owner)]);
        let grant = |role| rights.require_to_grant(&roles(&[role]), Giver::ServiceAccount);
        assert_eq!(grant(Role::User), Ok(()));
        assert_eq!(grant(Role::Approver), Err(Denied::NotInvitable(Role::Approver)));
    }

    #[test]
    fn what_cannot_be_seen_is_hidden_whatever_is_asked() {
        assert_eq!(Rights::default().require(Permission::InvitationsCreate), Err(Denied::Hidden));
        let user = Rights(vec![(1, Role::User)]);
        let missing = Denied::Missing(Permission::InvitationsCreate);
        assert_eq!(user.require(Permission::InvitationsCreate), Err(missing));
    }
}
