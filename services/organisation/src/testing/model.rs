//! What the rules say, as simply as they can be said: a model to hold the service against.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{
    permission::{Permission, Permissions},
    role::BuiltIn,
};

/// The platform owner; people count from 1.
pub(super) const OWNER: usize = 0;
pub(super) const PEOPLE: usize = 5;
pub(super) const MAX_DEPTH: usize = 4;

/// Hours since the beginning.
pub(super) type Hours = i64;

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub id: String,
    pub parent: Option<usize>,
    pub archived_by: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RoleName {
    BuiltIn(u8),
    /// A custom role: the root that it was made at, and its number there.
    Custom(usize, usize),
}

#[derive(Clone, Debug)]
pub(super) struct Membership {
    pub roles: BTreeSet<RoleName>,
    pub suspended: bool,
    pub from: Option<Hours>,
    pub until: Option<Hours>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stands {
    Pending,
    Accepted,
    Declined,
    Revoked,
    Expired,
}

#[derive(Clone, Debug)]
pub(super) struct Invitation {
    pub id: String,
    pub node: usize,
    pub person: usize,
    pub inviter: usize,
    pub role: RoleName,
    pub stands: Stands,
    pub until: Hours,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub now: Hours,
    pub nodes: Vec<Node>,
    /// The permissions of custom roles; nothing for one that is gone.
    pub custom: BTreeMap<(usize, usize), Permissions>,
    pub memberships: BTreeMap<(usize, usize), Membership>,
    pub invitations: Vec<Invitation>,
}

impl Membership {
    fn counts(&self, now: Hours) -> bool {
        !self.suspended
            && self.from.is_none_or(|from| from <= now)
            && self.until.is_none_or(|until| until > now)
    }
}

impl Model {
    /// A node and all above it, the nearest first.
    pub(super) fn chain(&self, node: usize) -> Vec<usize> {
        std::iter::successors(Some(node), |node| self.nodes[*node].parent).collect()
    }

    pub(super) fn root_of(&self, node: usize) -> usize {
        self.chain(node).last().copied().unwrap_or(node)
    }

    pub(super) fn below(&self, node: usize) -> Vec<usize> {
        (0..self.nodes.len()).filter(|other| self.chain(*other).contains(&node)).collect()
    }

    pub(super) fn permissions_of(&self, role: &RoleName) -> Permissions {
        match role {
            RoleName::BuiltIn(number) => BuiltIn::ALL[usize::from(*number)].permissions(),
            RoleName::Custom(root, number) => {
                self.custom.get(&(*root, *number)).copied().unwrap_or_default()
            }
        }
    }

    pub(super) fn all_of(&self, roles: &BTreeSet<RoleName>) -> Permissions {
        roles.iter().fold(Permissions::NONE, |all, role| all.union(self.permissions_of(role)))
    }

    fn held(&self, person: usize, node: usize) -> Permissions {
        if person == OWNER {
            return Permissions::all();
        }
        let above = self.chain(node).into_iter().filter_map(|node| {
            self.memberships.get(&(person, node)).filter(|it| it.counts(self.now))
        });
        above.fold(Permissions::NONE, |all, it| all.union(self.all_of(&it.roles)))
    }

    /// What somebody may do at a node.
    pub(super) fn rights(&self, person: usize, node: usize) -> Permissions {
        let held = self.held(person, node);
        if self.nodes[node].archived_by.is_none() {
            return held;
        }
        let looking = Permissions::of(&[
            Permission::OrganisationsRead,
            Permission::OrganisationsArchive,
            Permission::MembersRead,
            Permission::InvitationsRead,
            Permission::RequestsRead,
            Permission::DeliveriesRead,
            Permission::AuditRead,
        ]);
        if held.contains(Permission::OrganisationsArchive) {
            held.intersection(looking)
        } else {
            Permissions::NONE
        }
    }

    /// Sees the organisation, and may do this.
    pub(super) fn may(&self, person: usize, node: usize, permission: Permission) -> bool {
        let rights = self.rights(person, node);
        rights.contains(Permission::OrganisationsRead) && rights.contains(permission)
    }

    /// The same above the roots, where the platform owner alone has rights.
    pub(super) fn may_at(&self, person: usize, node: Option<usize>, it: Permission) -> bool {
        node.map_or(person == OWNER, |node| self.may(person, node, it))
    }

    /// The ceiling.
    pub(super) fn covers(&self, person: usize, node: usize, roles: &BTreeSet<RoleName>) -> bool {
        self.all_of(roles).is_subset_of(self.rights(person, node))
    }

    /// Whether a node has an owner for good; what would be taken away does not count.
    pub(super) fn has_lasting_owner(&self, node: usize) -> bool {
        self.memberships.iter().any(|((_, at), it)| {
            *at == node
                && it.counts(self.now)
                && it.until.is_none()
                && it.roles.contains(&RoleName::BuiltIn(0))
        })
    }

    /// Whether a root would be left without an owner by what happened to a membership that had the
    /// role.
    pub(super) fn orphaned(&self, node: usize, had: &Membership) -> bool {
        self.nodes[node].parent.is_none()
            && had.roles.contains(&RoleName::BuiltIn(0))
            && !self.has_lasting_owner(node)
    }

    /// The custom roles that are held or offered in a part of the tree.
    fn in_use(&self, nodes: &[usize]) -> BTreeSet<RoleName> {
        let held = self.memberships.iter().filter(|((_, node), _)| nodes.contains(node));
        let held = held.flat_map(|(_, it)| it.roles.iter().cloned());
        let offered = self.invitations.iter().filter(|it| {
            nodes.contains(&it.node) && it.stands == Stands::Pending && it.until > self.now
        });
        let all = held.chain(offered.map(|it| it.role.clone()));
        all.filter(|role| matches!(role, RoleName::Custom(..))).collect()
    }

    /// Whether a move is right, apart from who asks for it.
    pub(super) fn can_move(&self, node: usize, to: Option<usize>) -> bool {
        let moved = self.below(node);
        let height = |top: usize| {
            let depths = moved.iter().map(|it| self.chain(*it).len());
            depths.max().unwrap_or(1) - self.chain(top).len() + 1
        };
        let depth = to.map_or(0, |to| self.chain(to).len());
        let pointless = self.nodes[node].parent == to || to.is_some_and(|to| moved.contains(&to));
        let archived = self.nodes[node].archived_by.is_some()
            || to.is_some_and(|to| self.nodes[to].archived_by.is_some());
        let new_root = to.map_or(node, |to| self.root_of(to));
        let left_behind = new_root != self.root_of(node) && !self.in_use(&moved).is_empty();
        let orphan = to.is_none() && !self.has_lasting_owner(node);
        !pointless && !archived && depth + height(node) <= MAX_DEPTH && !left_behind && !orphan
    }

    /// Moves, and forgets the roles of a root that is none any more.
    pub(super) fn relocate(&mut self, node: usize, to: Option<usize>) {
        if self.nodes[node].parent.is_none() {
            self.custom.retain(|(root, _), _| *root != node);
        }
        self.nodes[node].parent = to;
    }

    /// What time does by itself.
    pub(super) fn pass(&mut self, hours: Hours) {
        self.now += hours;
        let now = self.now;
        self.memberships.retain(|_, it| it.until.is_none_or(|until| until > now));
        for it in &mut self.invitations {
            if it.stands == Stands::Pending && it.until <= now {
                it.stands = Stands::Expired;
            }
        }
    }

    /// A pending invitation that has nothing more to offer is settled.
    pub(super) fn settle(&mut self, person: usize, node: usize) {
        let Some(held) = self.memberships.get(&(person, node)) else { return };
        for it in &mut self.invitations {
            let theirs = it.person == person && it.node == node && it.stands == Stands::Pending;
            if theirs && it.until > self.now && held.roles.contains(&it.role) {
                it.stands = Stands::Accepted;
            }
        }
    }

    pub(super) fn pending(&self, person: usize, node: usize) -> bool {
        self.invitations.iter().any(|it| {
            it.person == person
                && it.node == node
                && it.stands == Stands::Pending
                && it.until > self.now
        })
    }
}
