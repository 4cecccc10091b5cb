//! The permission catalogue: closed, and documented here.

use kernel::Malformed;

/// Something that one may be allowed to do at an organisation and below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Permission {
    /// See the organisation.
    OrganisationsRead,
    /// Create sub-organisations (at the platform: roots).
    OrganisationsCreate,
    /// Rename it.
    OrganisationsUpdate,
    /// See who belongs to it.
    MembersRead,
    /// See its invitations.
    InvitationsRead,
    /// Invite into it, within the grant ceiling.
    InvitationsCreate,
    /// Send a new link for an invitation.
    InvitationsReissue,
    /// Take an invitation back.
    InvitationsRevoke,
    /// See what was mailed.
    DeliveriesRead,
    /// Make owners: what an owner holds and an admin does not.
    OwnersManage,
}

impl Permission {
    pub(crate) const ALL: [Self; 10] = [
        Self::OrganisationsRead,
        Self::OrganisationsCreate,
        Self::OrganisationsUpdate,
        Self::MembersRead,
        Self::InvitationsRead,
        Self::InvitationsCreate,
        Self::InvitationsReissue,
        Self::InvitationsRevoke,
        Self::DeliveriesRead,
        Self::OwnersManage,
    ];

    /// As callers write it: `noun.verb`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::OrganisationsRead => "organisations.read",
            Self::OrganisationsCreate => "organisations.create",
            Self::OrganisationsUpdate => "organisations.update",
            Self::MembersRead => "members.read",
            Self::InvitationsRead => "invitations.read",
            Self::InvitationsCreate => "invitations.create",
            Self::InvitationsReissue => "invitations.reissue",
            Self::InvitationsRevoke => "invitations.revoke",
            Self::DeliveriesRead => "deliveries.read",
            Self::OwnersManage => "owners.manage",
        }
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Malformed> {
        let found = Self::ALL.into_iter().find(|permission| permission.as_str() == text);
        found.ok_or(Malformed("a permission of the catalogue, such as invitations.create"))
    }
}

/// A set of permissions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Permissions(u32);

impl Permissions {
    pub(crate) fn of(permissions: &[Permission]) -> Self {
        Self(permissions.iter().fold(0, |bits, permission| bits | 1 << *permission as u8))
    }

    pub(crate) fn contains(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u8) != 0
    }

    pub(crate) fn is_subset_of(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    pub(crate) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
