//! The permission catalogue: closed, and documented here. Roles are configured; permissions come
//! with Usher.

use std::fmt;

use kernel::{Fields, Malformed};

/// Something that one may be allowed to do at an organisation and below it.
///
/// The numbers are places in the bit set that the rows of custom roles keep: they never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Permission {
    OrganisationsRead = 0,
    OrganisationsCreate = 1,
    OrganisationsUpdate = 2,
    MembersRead = 3,
    InvitationsRead = 4,
    InvitationsCreate = 5,
    InvitationsReissue = 6,
    InvitationsRevoke = 7,
    DeliveriesRead = 8,
    OwnersManage = 9,
    OrganisationsArchive = 10,
    OrganisationsMove = 11,
    MembersCreate = 12,
    MembersUpdate = 13,
    MembersSuspend = 14,
    MembersRemove = 15,
    InvitationsUpdate = 16,
    RolesManage = 17,
    RequestsRead = 18,
    RequestsDecide = 19,
    ApplicationsManage = 20,
    ApplicationsGrant = 21,
    AuditRead = 22,
    TemplatesRead = 23,
    TemplatesUpdate = 24,
    DeliveriesResend = 25,
    OperationsManage = 26,
}

use Permission::*;

/// Every permission: as callers write it (`noun.verb`), and what it allows.
#[rustfmt::skip]
pub(crate) const CATALOGUE: &[(Permission, &str, &str)] = &[
    (OrganisationsRead, "organisations.read", "See the organisation, its roles and its applications."),
    (OrganisationsCreate, "organisations.create", "Create sub-organisations (at the platform: roots)."),
    (OrganisationsUpdate, "organisations.update", "Rename it, and set its invitation policy."),
    (OrganisationsArchive, "organisations.archive", "Archive and restore it."),
    (OrganisationsMove, "organisations.move", "Move what is below it elsewhere, and take in what comes from elsewhere."),
    (MembersRead, "members.read", "See who belongs to it."),
    (MembersCreate, "members.create", "Add members, within the grant ceiling."),
    (MembersUpdate, "members.update", "Change members' roles and time, within the grant ceiling."),
    (MembersSuspend, "members.suspend", "Suspend and resume members, within the grant ceiling."),
    (MembersRemove, "members.remove", "Remove members, within the grant ceiling."),
    (InvitationsRead, "invitations.read", "See its invitations."),
    (InvitationsCreate, "invitations.create", "Invite into it, within the grant ceiling."),
    (InvitationsUpdate, "invitations.update", "Change pending invitations, within the grant ceiling."),
    (InvitationsReissue, "invitations.reissue", "Send a new link for an invitation."),
    (InvitationsRevoke, "invitations.revoke", "Take an invitation back."),
    (RequestsRead, "requests.read", "See its access requests."),
    (RequestsDecide, "requests.decide", "Decide access requests of others, within the grant ceiling."),
    (RolesManage, "roles.manage", "Create, change and delete custom roles (at a root), within the grant ceiling."),
    (ApplicationsManage, "applications.manage", "Create, change and remove its applications."),
    (ApplicationsGrant, "applications.grant", "Give members access to applications, and take it away."),
    (DeliveriesRead, "deliveries.read", "See what was mailed."),
    (DeliveriesResend, "deliveries.resend", "Send mails once more."),
    (TemplatesRead, "templates.read", "See what its mails say, and whom they come from."),
    (TemplatesUpdate, "templates.update", "Change what its mails say, and whom they come from."),
    (AuditRead, "audit.read", "Read its history."),
    (OperationsManage, "operations.manage", "At the platform: run it, such as by its suppression list."),
    (OwnersManage, "owners.manage", "Make owners: what an owner holds and an admin does not."),
];

impl Permission {
    /// As callers write it.
    pub(crate) fn as_str(self) -> &'static str {
        let entry = CATALOGUE.iter().find(|(permission, ..)| *permission == self);
        entry.map_or("", |(_, key, _)| key)
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Malformed> {
        let entry = CATALOGUE.iter().find(|(_, key, _)| *key == text);
        let expected = Malformed("a permission of the catalogue, such as invitations.create");
        entry.map(|(permission, ..)| *permission).ok_or(expected)
    }

    /// Reads the permissions of a request; none is fine, and twice is once.
    pub(crate) fn read_all(
        fields: &mut Fields,
        field: &str,
        texts: &[String],
    ) -> Option<Permissions> {
        if texts.len() > 100 {
            fields.reject(field, Malformed("at most 100 permissions"));
            return None;
        }
        let read = |(index, text): (usize, &String)| {
            fields.read(format!("{field}[{index}]"), Self::parse(text))
        };
        let read: Vec<_> = texts.iter().enumerate().map(read).collect();
        let permissions: Vec<_> = read.into_iter().collect::<Option<_>>()?;
        Some(Permissions::of(&permissions))
    }

    /// Its bit in a set.
    pub(crate) const fn bit(self) -> i64 {
        1 << self as u8
    }
}

/// A set of permissions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Permissions(i64);

impl Permissions {
    pub(crate) const NONE: Self = Self(0);

    pub(crate) const fn of(permissions: &[Permission]) -> Self {
        let (mut bits, mut index) = (0, 0);
        while index < permissions.len() {
            bits |= permissions[index].bit();
            index += 1;
        }
        Self(bits)
    }

    /// All of the catalogue.
    pub(crate) fn all() -> Self {
        Self(CATALOGUE.iter().fold(0, |bits, (permission, ..)| bits | permission.bit()))
    }

    /// Reads what [`Permissions::bits`] wrote to a row. Unknown bits are those of a later version of
    /// ours: they grant nothing here, and are kept out.
    pub(crate) fn from_bits(bits: i64) -> Self {
        Self(bits).intersection(Self::all())
    }

    pub(crate) fn bits(self) -> i64 {
        self.0
    }

    pub(crate) fn contains(self, permission: Permission) -> bool {
        self.0 & permission.bit() != 0
    }

    pub(crate) fn is_subset_of(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    pub(crate) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// In the order of the catalogue.
    pub(crate) fn iter(self) -> impl Iterator<Item = Permission> {
        let every = CATALOGUE.iter().map(|(permission, ..)| *permission);
        every.filter(move |permission| self.contains(*permission))
    }
}

impl fmt::Display for Permissions {
    /// The keys with spaces between: as the history keeps them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.iter().map(Permission::as_str).collect();
        f.write_str(&keys.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_permission_is_in_the_catalogue_once_and_has_a_bit_of_its_own() {
        let keys: HashSet<_> = CATALOGUE.iter().map(|(_, key, _)| key).collect();
        let bits: HashSet<_> = CATALOGUE.iter().map(|(permission, ..)| permission.bit()).collect();
        assert_eq!((keys.len(), bits.len()), (CATALOGUE.len(), CATALOGUE.len()));
        // The enum has no variant beyond: the last number is the last place.
        assert_eq!(Permissions::all().bits(), (1 << CATALOGUE.len()) - 1);
        for (permission, key, _) in CATALOGUE {
            assert_eq!(Permission::parse(key), Ok(*permission));
            assert_eq!(permission.as_str(), *key);
        }
    }

    #[test]
    fn bits_of_a_later_version_grant_nothing() {
        assert_eq!(Permissions::from_bits(-1), Permissions::all());
        assert!(Permissions::from_bits(1 << 60).iter().next().is_none());
    }
}
