//! What the rules say, as simply as they can be said: a model to hold the service against. What it
//! says is kept apart by what it is about: `can_…` whether somebody can do something, and a verb
//! alone what comes of it.

mod invitations;
mod memberships;
mod organisations;
mod roles;

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{
    permission::{Permission, Permissions},
    role::BuiltIn,
};

/// People are numbers; the first is the platform owner.
pub(super) const OWNER: usize = 0;
pub(super) const PEOPLE: usize = 5;
pub(super) const MAX_DEPTH: usize = 4;
/// How long an invitation waits.
const LINK_LIFE: Hours = 48;

/// Hours since the beginning.
pub(super) type Hours = i64;

pub(super) type Roles = BTreeSet<Role>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    BuiltIn(BuiltIn),
    /// A custom role by its number, which is not used again.
    Custom(usize),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub now: Hours,
    pub nodes: Vec<Node>,
    /// The custom roles that there are.
    pub custom: BTreeMap<usize, Custom>,
    /// By person and node.
    pub memberships: BTreeMap<(usize, usize), Membership>,
    pub invitations: Vec<Invitation>,
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub id: String,
    pub parent: Option<usize>,
    pub archived_by: Option<usize>,
}

#[derive(Clone, Debug)]
pub(super) struct Custom {
    pub id: String,
    pub root: usize,
    pub permissions: Permissions,
}

#[derive(Clone, Debug)]
pub(super) struct Membership {
    pub roles: Roles,
    pub suspended: bool,
    pub from: Option<Hours>,
    pub until: Option<Hours>,
}

#[derive(Clone, Debug)]
pub(super) struct Invitation {
    pub id: String,
    pub node: usize,
    pub person: usize,
    pub inviter: usize,
    pub roles: Roles,
    pub stands: Stands,
    pub until: Hours,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stands {
    Pending,
    Accepted,
    Declined,
    Revoked,
    Expired,
}

impl Role {
    pub(super) fn key(self) -> String {
        match self {
            Self::BuiltIn(role) => role.key().to_owned(),
            Self::Custom(number) => format!("custom-{number}"),
        }
    }
}

impl Model {
    /// What somebody may do at a node: what their roles there and above allow. Of what is archived
    /// those who could restore it see something, and nobody else anything.
    pub(super) fn rights(&self, person: usize, node: usize) -> Permissions {
        let held = self.held(person, node);
        if self.nodes[node].archived_by.is_none() {
            return held;
        }
        if !held.contains(Permission::OrganisationsArchive) {
            return Permissions::NONE;
        }
        held.intersection(Permissions::of(&[
            Permission::OrganisationsRead,
            Permission::OrganisationsArchive,
            Permission::MembersRead,
            Permission::InvitationsRead,
            Permission::RequestsRead,
            Permission::DeliveriesRead,
            Permission::TemplatesRead,
            Permission::AuditRead,
        ]))
    }

    fn held(&self, person: usize, node: usize) -> Permissions {
        if person == OWNER {
            return Permissions::all();
        }
        let at = |node| self.memberships.get(&(person, node)).filter(|it| it.counts(self.now));
        let above = self.chain(node).into_iter().filter_map(at);
        above.fold(Permissions::NONE, |all, it| all.union(self.all_of(&it.roles)))
    }

    /// Sees the organisation, and may do this.
    pub(super) fn may(&self, person: usize, node: usize, it: Permission) -> bool {
        let rights = self.rights(person, node);
        rights.contains(Permission::OrganisationsRead) && rights.contains(it)
    }

    /// The ceiling (t06): nobody gives, changes or takes away what they do not hold.
    fn covers(&self, person: usize, node: usize, roles: &Roles) -> bool {
        self.all_of(roles).is_subset_of(self.rights(person, node))
    }

    /// The next moment at which time changes something.
    pub(super) fn next_moment(&self) -> Option<Hours> {
        let members = self.memberships.values().flat_map(|it| [it.from, it.until]).flatten();
        let offers = self.invitations.iter().map(|it| it.until);
        members.chain(offers).filter(|at| *at > self.now).min()
    }

    /// What time does by itself.
    pub(super) fn pass(&mut self, hours: Hours) {
        self.now += hours;
        let now = self.now;
        self.memberships.retain(|_, it| it.until.is_none_or(|until| until > now));
        for it in self.invitations.iter_mut().filter(|it| it.stands == Stands::Pending) {
            if it.until <= now {
                it.stands = Stands::Expired;
            }
        }
    }
}
