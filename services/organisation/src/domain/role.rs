use std::{collections::HashSet, fmt};

use kernel::{Fields, Malformed, Uuid};

use super::permission::{Permission::*, Permissions};

/// A role: a named set of permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Role {
    pub id: Uuid,
    /// As it was created; [`RoleKey`] compares.
    pub key: String,
    pub permissions: Permissions,
    /// Whether a caller that is not a person may invite into it (source 000).
    pub invitable: bool,
}

/// A role that comes with Usher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum BuiltIn {
    /// Everything.
    Owner = 1,
    /// Everything but making owners and moving organisations.
    Admin = 2,
    /// Decides access requests, and removes who has left.
    Approver = 3,
    /// Sees the organisation. The one built-in role that a service account may invite into.
    User = 4,
    /// At the platform alone: sees and decides access requests across all roots.
    Support = 5,
}

impl BuiltIn {
    pub(crate) const ALL: [Self; 5] =
        [Self::Owner, Self::Admin, Self::Approver, Self::User, Self::Support];

    /// The identifier of its row.
    pub(crate) const fn id(self) -> Uuid {
        Uuid::from_u128(self as u128)
    }

    pub(crate) fn of(id: Uuid) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.id() == id)
    }

    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Approver => "approver",
            Self::User => "user",
            Self::Support => "support",
        }
    }

    pub(crate) fn permissions(self) -> Permissions {
        match self {
            Self::Owner => Permissions::all(),
            Self::Admin => {
                const {
                    Permissions::of(&[
                        OrganisationsRead,
                        OrganisationsCreate,
                        OrganisationsUpdate,
                        OrganisationsArchive,
                        MembersRead,
                        MembersCreate,
                        MembersUpdate,
                        MembersSuspend,
                        MembersRemove,
                        InvitationsRead,
                        InvitationsCreate,
                        InvitationsUpdate,
                        InvitationsReissue,
                        InvitationsRevoke,
                        RequestsRead,
                        RequestsDecide,
                        RolesManage,
                        ApplicationsManage,
                        ApplicationsGrant,
                        DeliveriesRead,
                        DeliveriesResend,
                        TemplatesRead,
                        TemplatesUpdate,
                        AuditRead,
                    ])
                }
            }
            Self::Approver | Self::Support => {
                const {
                    Permissions::of(&[
                        OrganisationsRead,
                        MembersRead,
                        MembersRemove,
                        InvitationsRead,
                        RequestsRead,
                        RequestsDecide,
                        ApplicationsGrant,
                    ])
                }
            }
            Self::User => const { Permissions::of(&[OrganisationsRead]) },
        }
    }

    pub(crate) fn role(self) -> Role {
        Role {
            id: self.id(),
            key: self.key().to_owned(),
            permissions: self.permissions(),
            invitable: self == Self::User,
        }
    }
}

/// What requests call a role: a letter, then up to 63 letters, digits, hyphens and underscores.
/// Compared without regard to case, so that `Approver` and `approver` are one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RoleKey(String);

impl RoleKey {
    pub(crate) fn parse(text: &str) -> Result<Self, Malformed> {
        let fits = (1..=64).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        let expected =
            Malformed("a role's key: a letter, then letters, digits, hyphens and underscores");
        if fits { Ok(Self(text.to_owned())) } else { Err(expected) }
    }

    /// Reads the keys of a request, at most 20; none is fine.
    pub(crate) fn read_all(
        fields: &mut Fields,
        field: &str,
        texts: &[String],
    ) -> Option<Vec<Self>> {
        if texts.len() > 20 {
            fields.reject(field, Malformed("at most 20 roles"));
            return None;
        }
        let read = |(index, text): (usize, &String)| {
            fields.read(format!("{field}[{index}]"), Self::parse(text))
        };
        let keys: Vec<_> = texts.iter().enumerate().map(read).collect();
        keys.into_iter().collect()
    }

    /// As it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// As it is compared.
    pub(crate) fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

/// Roles without repetition, by their keys' order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Roles(Vec<Role>);

impl Roles {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Role> {
        self.0.iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn contains(&self, id: Uuid) -> bool {
        self.0.iter().any(|role| role.id == id)
    }

    /// Whether all of them are held already, of nothing that is held none is.
    pub(crate) fn are_among(&self, held: Option<&HashSet<Uuid>>) -> bool {
        self.0.iter().all(|role| held.is_some_and(|held| held.contains(&role.id)))
    }

    pub(crate) fn ids(&self) -> Vec<Uuid> {
        self.0.iter().map(|role| role.id).collect()
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.0.iter().map(|role| role.key.clone()).collect()
    }

    /// All that they allow together.
    pub(crate) fn permissions(&self) -> Permissions {
        self.0.iter().fold(Permissions::NONE, |set, role| set.union(role.permissions))
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        let mut roles: Vec<_> = roles.into_iter().collect();
        roles.sort_by(|a, b| a.key.cmp(&b.key));
        roles.dedup_by_key(|role| role.id);
        Self(roles)
    }
}

impl From<BuiltIn> for Roles {
    fn from(role: BuiltIn) -> Self {
        Self(vec![role.role()])
    }
}

impl fmt::Display for Roles {
    /// The keys with spaces between: as rows and the history keep them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.keys().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roles_of_the_sources_are_keys() {
        for key in ["End-user", "Approver", "team", "admin", "teacher", "inviteUsers"] {
            assert_eq!(RoleKey::parse(key).unwrap().as_str(), key);
        }
        for bad in ["", "1st", "a b", "a.b", "rôle", "-x", &"x".repeat(65)] {
            assert!(RoleKey::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(RoleKey::parse("End-user").unwrap().folded(), "end-user");
    }

    #[test]
    fn an_admin_lacks_what_makes_owners() {
        let lacks: Vec<_> = Permissions::all()
            .iter()
            .filter(|it| !BuiltIn::Admin.permissions().contains(*it))
            .collect();
        assert_eq!(lacks, [OrganisationsMove, OperationsManage, OwnersManage]);
    }
}
