use super::{MAX_DEPTH, Membership, Model, Node, OWNER, Role, Roles};
use crate::domain::{permission::Permission, role::BuiltIn};

impl Model {
    /// A node and all above it, the nearest first.
    pub(super) fn chain(&self, node: usize) -> Vec<usize> {
        std::iter::successors(Some(node), |node| self.nodes[*node].parent).collect()
    }

    pub(in crate::tests) fn root_of(&self, node: usize) -> usize {
        *self.chain(node).last().unwrap()
    }

    /// A node and all below it.
    pub(in crate::tests) fn at_and_below(&self, node: usize) -> Vec<usize> {
        (0..self.nodes.len()).filter(|other| self.chain(*other).contains(&node)).collect()
    }

    /// Above the roots the platform owner alone may do anything.
    pub(in crate::tests) fn may_at(
        &self,
        person: usize,
        node: Option<usize>,
        it: Permission,
    ) -> bool {
        node.map_or(person == OWNER, |node| self.may(person, node, it))
    }

    pub(in crate::tests) fn can_create(&self, by: usize, parent: Option<usize>) -> bool {
        let depth = parent.map_or(0, |parent| self.chain(parent).len());
        self.may_at(by, parent, Permission::OrganisationsCreate) && depth < MAX_DEPTH
    }

    /// Whoever makes a root owns it.
    pub(in crate::tests) fn create(&mut self, by: usize, parent: Option<usize>, id: String) {
        if parent.is_none() {
            let roles = Roles::from([Role::BuiltIn(BuiltIn::Owner)]);
            let owner = Membership { roles, suspended: false, from: None, until: None };
            self.memberships.insert((by, self.nodes.len()), owner);
        }
        self.nodes.push(Node { id, parent, archived_by: None });
    }

    pub(in crate::tests) fn can_archive(&self, by: usize, node: usize) -> bool {
        self.may(by, node, Permission::OrganisationsArchive)
    }

    /// What is open, or was closed by the same above, is closed by this from now on: it stays so when
    /// that above is restored.
    pub(in crate::tests) fn archive(&mut self, node: usize) {
        let as_it_is = self.nodes[node].archived_by;
        for below in self.at_and_below(node) {
            if self.nodes[below].archived_by == as_it_is {
                self.nodes[below].archived_by = Some(node);
            }
        }
    }

    pub(in crate::tests) fn can_restore(&self, by: usize, node: usize) -> bool {
        let above = self.nodes[node].parent;
        let closed = above.is_some_and(|above| self.nodes[above].archived_by.is_some());
        self.can_archive(by, node) && !closed
    }

    /// Opens what it had closed, and nothing that was closed by itself.
    pub(in crate::tests) fn restore(&mut self, node: usize) {
        for it in &mut self.nodes {
            it.archived_by = it.archived_by.filter(|by| *by != node);
        }
    }

    /// Takes it from where it is, and brings it elsewhere. What is above it need not be seen.
    pub(in crate::tests) fn may_move(&self, by: usize, node: usize, to: Option<usize>) -> bool {
        let from = self.nodes[node].parent;
        let takes = from.map_or(by == OWNER, |from| {
            self.held(by, from).contains(Permission::OrganisationsMove)
        });
        self.may(by, node, Permission::OrganisationsRead)
            && takes
            && self.may_at(by, to, Permission::OrganisationsMove)
            && from != to
            && to.is_none_or(|to| !self.at_and_below(node).contains(&to))
    }

    pub(in crate::tests) fn can_move(&self, by: usize, node: usize, to: Option<usize>) -> bool {
        self.may_move(by, node, to) && self.fits(node, to)
    }

    fn fits(&self, node: usize, to: Option<usize>) -> bool {
        let moved = self.at_and_below(node);
        let closed = |node: usize| self.nodes[node].archived_by.is_some();
        if to.is_some_and(closed) || closed(node) {
            return false;
        }
        let tiers = moved.iter().map(|it| self.chain(*it).len()).max().unwrap();
        let height = tiers - self.chain(node).len() + 1;
        let depth = to.map_or(0, |to| self.chain(to).len());
        let root = to.map_or(node, |to| self.root_of(to));
        // Custom roles belong to a root: who has one cannot leave it.
        let leaves_roles = root != self.root_of(node) && self.custom_in_use(&moved);
        let orphan = to.is_none() && !self.has_lasting_owner(node);
        depth + height <= MAX_DEPTH && !leaves_roles && !orphan
    }

    /// A root that becomes a sub-organisation has no roles of its own any more.
    pub(in crate::tests) fn relocate(&mut self, node: usize, to: Option<usize>) {
        if to.is_some() {
            self.custom.retain(|_, role| role.root != node);
        }
        self.nodes[node].parent = to;
    }
}
