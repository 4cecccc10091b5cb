use kernel::Uuid;

use super::{
    permission::{Permission, Permissions},
    role::{Role, Roles},
};

/// What a subject holds at a node: the roles given there and above, as far as they count at this
/// moment. Roles below or beside it do not appear: rights inherit downward only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rights {
    pub held: Vec<Held>,
    /// Whether the node, or one above it, is archived.
    pub archived: bool,
}

/// One role held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// How far above the node it was given; 0 for the node itself.
    pub distance: i32,
    pub role: Uuid,
    pub permissions: Permissions,
}

/// Who gives a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Giver {
    Person,
    ServiceAccount,
}

/// Why something is not allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// The subject may not even see the organisation.
    Hidden,
    /// The subject sees it, but lacks this.
    Missing(Permission),
    /// The organisation is archived: it can be looked at, and restored.
    Archived,
    /// The role of this key holds permissions that the giver lacks.
    AboveCeiling(String),
    /// Only a person may give the role of this key.
    NotInvitable(String),
}

/// What is left of the rights at an archived organisation, of those who could restore it.
pub(crate) const WHEN_ARCHIVED: Permissions = Permissions::of(&[
    Permission::OrganisationsRead,
    Permission::OrganisationsArchive,
    Permission::MembersRead,
    Permission::InvitationsRead,
    Permission::RequestsRead,
    Permission::DeliveriesRead,
    Permission::TemplatesRead,
    Permission::AuditRead,
]);

impl Rights {
    /// All that is allowed. An archived organisation lets nobody in but those who could restore it,
    /// and those only look.
    pub(crate) fn permissions(&self) -> Permissions {
        let all = union(self.held.iter());
        match (self.archived, all.contains(Permission::OrganisationsArchive)) {
            (false, _) => all,
            (true, true) => all.intersection(WHEN_ARCHIVED),
            (true, false) => Permissions::NONE,
        }
    }

    pub(crate) fn allow(&self, permission: Permission) -> bool {
        self.permissions().contains(permission)
    }

    /// Whether the subject holds the permission at the parent of the node.
    pub(crate) fn allow_above(&self, permission: Permission) -> bool {
        self.allow_from(1, permission)
    }

    /// Whether the subject holds the permission at what is so many tiers above the node.
    pub(crate) fn allow_from(&self, tiers: i32, permission: Permission) -> bool {
        union(self.held.iter().filter(|held| held.distance >= tiers)).contains(permission)
    }

    /// What these rights are at a child of the node.
    pub(crate) fn one_tier_down(&self) -> Self {
        let down = |held: &Held| Held { distance: held.distance + 1, ..*held };
        Self { held: self.held.iter().map(down).collect(), archived: self.archived }
    }

    /// Asks for a permission; what cannot be seen is hidden, whatever was asked for.
    pub(crate) fn require(&self, permission: Permission) -> Result<(), Denied> {
        let allowed = self.permissions();
        if !allowed.contains(Permission::OrganisationsRead) {
            Err(Denied::Hidden)
        } else if allowed.contains(permission) {
            Ok(())
        } else if self.archived && union(self.held.iter()).contains(permission) {
            Err(Denied::Archived)
        } else {
            Err(Denied::Missing(permission))
        }
    }

    /// The grant ceiling: nobody gives, changes or takes away what they do not hold at the node.
    pub(crate) fn require_to_hold(&self, roles: &Roles) -> Result<(), Denied> {
        let held = self.permissions();
        let above = |role: &&Role| !role.permissions.is_subset_of(held);
        match roles.iter().find(above) {
            Some(role) => Err(Denied::AboveCeiling(role.key.clone())),
            None => Ok(()),
        }
    }

    /// The ceiling for giving: and a caller that is not a person gives only roles marked invitable.
    pub(crate) fn require_to_grant(&self, roles: &Roles, giver: Giver) -> Result<(), Denied> {
        match roles.iter().find(|role| giver == Giver::ServiceAccount && !role.invitable) {
            Some(role) => Err(Denied::NotInvitable(role.key.clone())),
            None => self.require_to_hold(roles),
        }
    }
}

fn union<'a>(held: impl Iterator<Item = &'a Held>) -> Permissions {
    held.fold(Permissions::NONE, |set, held| set.union(held.permissions))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::role::BuiltIn, *};

    fn holding(distance: i32, roles: &[BuiltIn]) -> Rights {
        let held = roles.iter().map(|role| Held {
            distance,
            role: role.id(),
            permissions: role.permissions(),
        });
        Rights { held: held.collect(), archived: false }
    }

    /// Every set of held roles against every role offered: 32 × 5 cases, so none is left to chance.
    #[test]
    fn t06_nobody_grants_a_permission_that_they_lack() {
        for bits in 0..32u8 {
            let held: Vec<_> =
                (0..5).filter(|i| bits & (1 << i) != 0).map(|i| BuiltIn::ALL[i]).collect();
            let rights = holding(0, &held);
            for offered in BuiltIn::ALL {
                let granted = rights.require_to_grant(&offered.into(), Giver::Person).is_ok();
                let exceeds = offered.permissions().iter().any(|it| !rights.allow(it));
                assert_eq!(granted, !exceeds, "{rights:?} offers {offered:?}");
            }
        }
    }

    /// Roles with permissions at random, held at the node and above; mostly of nearly everything, so
    /// that they are enough as often as not.
    fn some_roles() -> impl Strategy<Value = Vec<(i32, Permissions)>> {
        let bits = || 0..=Permissions::all().bits();
        let one = prop_oneof![
            (bits(), bits()).prop_map(|(some, others)| some & others),
            (bits(), bits(), bits()).prop_map(|(some, others, more)| some | others | more),
        ];
        proptest::collection::vec((0..8, one.prop_map(Permissions::from_bits)), 0..4)
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 2_000,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn t06_what_is_granted_is_within_what_the_giver_holds(
            held in some_roles(),
            offered in some_roles(),
            within: bool,
            archived: bool,
            giver in prop_oneof![Just(Giver::Person), Just(Giver::ServiceAccount)],
        ) {
            let held = held.into_iter().map(|(distance, permissions)| Held {
                distance,
                role: Uuid::from_u128(100),
                permissions,
            });
            let rights = Rights { held: held.collect(), archived };
            let has = rights.permissions();
            let offered: Roles = offered
                .into_iter()
                .map(|(number, permissions)| Role {
                    id: Uuid::from_u128(number.unsigned_abs().into()),
                    key: format!("role-{number}"),
                    permissions: if within { permissions.intersection(has) } else { permissions },
                    invitable: number != 0,
                })
                .collect();
            let all_held = offered.permissions().iter().all(|it| rights.allow(it));
            let invitable = giver == Giver::Person || offered.iter().all(|role| role.invitable);
            prop_assert_eq!(rights.require_to_hold(&offered).is_ok(), all_held);
            let granted = rights.require_to_grant(&offered, giver).is_ok();
            prop_assert_eq!(granted, all_held && invitable);
        }
    }

    #[test]
    fn a_service_account_grants_invitable_roles_alone() {
        let rights = holding(0, &[BuiltIn::Owner]);
        let grant = |role: BuiltIn| rights.require_to_grant(&role.into(), Giver::ServiceAccount);
        assert_eq!(grant(BuiltIn::User), Ok(()));
        assert_eq!(grant(BuiltIn::Approver), Err(Denied::NotInvitable("approver".to_owned())));
    }

    #[test]
    fn what_cannot_be_seen_is_hidden_whatever_is_asked() {
        let nobody = Rights::default();
        assert_eq!(nobody.require(Permission::InvitationsCreate), Err(Denied::Hidden));
        let missing = Denied::Missing(Permission::InvitationsCreate);
        let user = holding(1, &[BuiltIn::User]);
        assert_eq!(user.require(Permission::InvitationsCreate), Err(missing));
    }

    #[test]
    fn an_archived_organisation_is_for_those_who_could_restore_it_and_they_only_look() {
        let user = Rights { archived: true, ..holding(0, &[BuiltIn::User]) };
        assert_eq!(user.require(Permission::OrganisationsRead), Err(Denied::Hidden));
        let admin = Rights { archived: true, ..holding(2, &[BuiltIn::Admin]) };
        assert_eq!(admin.require(Permission::MembersRead), Ok(()));
        assert_eq!(admin.require(Permission::OrganisationsArchive), Ok(()));
        assert_eq!(admin.require(Permission::InvitationsCreate), Err(Denied::Archived));
        let missing = Denied::Missing(Permission::OwnersManage);
        assert_eq!(admin.require(Permission::OwnersManage), Err(missing));
    }
}
