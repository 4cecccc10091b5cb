use std::fmt;

use kernel::{Fields, Malformed};

use super::permission::{Permission, Permissions};

/// A role that every organisation has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Role {
    /// Everything but making owners.
    Admin,
    /// Sees members and invitations; decides access requests.
    Approver,
    /// Everything.
    Owner,
    /// Sees the organisation.
    User,
}

impl Role {
    pub(crate) const ALL: [Self; 4] = [Self::Admin, Self::Approver, Self::Owner, Self::User];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Approver => "approver",
            Self::Owner => "owner",
            Self::User => "user",
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Malformed> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or(Malformed("a role: owner, admin, approver or user"))
    }

    pub(crate) fn permissions(self) -> Permissions {
        use Permission::*;
        match self {
            Self::Owner => Permissions::of(&Permission::ALL),
            Self::Admin => Permissions::of(&[
                OrganisationsRead,
                OrganisationsCreate,
                OrganisationsUpdate,
                MembersRead,
                InvitationsRead,
                InvitationsCreate,
                InvitationsReissue,
                InvitationsRevoke,
                DeliveriesRead,
            ]),
            Self::Approver => Permissions::of(&[OrganisationsRead, MembersRead, InvitationsRead]),
            Self::User => Permissions::of(&[OrganisationsRead]),
        }
    }

    /// Whether a caller that is not a person may invite into it (source 000: through the API the
    /// end-user role alone).
    pub(crate) fn is_invitable(self) -> bool {
        self == Self::User
    }
}

/// Roles without repetition, in order; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Roles(Vec<Role>);

impl Roles {
    /// Reads a request's roles; none means `user`.
    pub(crate) fn read(fields: &mut Fields, texts: &[String]) -> Option<Self> {
        if texts.len() > 20 {
            fields.reject("roles", Malformed("at most 20 roles"));
            return None;
        }
        if texts.is_empty() {
            return Some(Self(vec![Role::User]));
        }
        let mut roles = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            roles.extend(fields.read(format!("roles[{index}]"), Role::parse(text)));
        }
        let complete = roles.len() == texts.len();
        roles.sort_unstable();
        roles.dedup();
        complete.then_some(Self(roles))
    }

    /// Reads what [`Roles::fmt`] wrote to a row.
    pub(crate) fn parse_row(text: &str) -> Self {
        Self(text.split(' ').filter_map(|role| Role::parse(role).ok()).collect())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Role> {
        self.0.iter().copied()
    }

    pub(crate) fn to_strings(&self) -> Vec<String> {
        self.iter().map(|role| role.as_str().to_owned()).collect()
    }
}

impl From<Role> for Roles {
    fn from(role: Role) -> Self {
        Self(vec![role])
    }
}

impl fmt::Display for Roles {
    /// As a row keeps them: with spaces between.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_strings().join(" "))
    }
}
