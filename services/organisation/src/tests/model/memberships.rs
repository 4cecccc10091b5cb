use super::{Hours, Membership, Model, Role, Roles};
use crate::domain::{permission::Permission, role::BuiltIn};

impl Membership {
    /// Whether it gives rights at a moment.
    pub(super) fn counts(&self, now: Hours) -> bool {
        !self.suspended
            && self.from.is_none_or(|from| from <= now)
            && self.until.is_none_or(|until| until > now)
    }

    fn owns_for_good(&self, now: Hours) -> bool {
        let owner = Role::BuiltIn(BuiltIn::Owner);
        self.counts(now) && self.until.is_none() && self.roles.contains(&owner)
    }
}

impl Model {
    pub(super) fn has_lasting_owner(&self, node: usize) -> bool {
        let mut here = self.memberships.iter().filter(|((_, at), _)| *at == node);
        here.any(|(_, it)| it.owns_for_good(self.now))
    }

    /// Whether a root is without an owner for good, if this becomes of a membership.
    fn orphans(&self, person: usize, node: usize, after: Option<Membership>) -> bool {
        let mut then = self.clone();
        then.memberships.remove(&(person, node));
        then.memberships.extend(after.map(|after| ((person, node), after)));
        self.nodes[node].parent.is_none() && !then.has_lasting_owner(node)
    }

    pub(in crate::tests) fn can_add(
        &self,
        by: usize,
        node: usize,
        person: usize,
        roles: &Roles,
    ) -> bool {
        by != person
            && self.may(by, node, Permission::MembersCreate)
            && self.covers(by, node, roles)
            && !self.memberships.contains_key(&(person, node))
    }

    pub(in crate::tests) fn add(&mut self, person: usize, node: usize, new: Membership) {
        self.memberships.insert((person, node), new);
        self.settle(person, node);
    }

    /// Nobody gives themselves a permission or longer time.
    pub(in crate::tests) fn can_change(
        &self,
        by: usize,
        (person, node): (usize, usize),
        after: &Membership,
    ) -> bool {
        let had = &self.memberships[&(person, node)];
        let raises = !self.all_of(&after.roles).is_subset_of(self.all_of(&had.roles));
        let waits = had.from.filter(|from| *from > self.now);
        let earlier = waits.is_some_and(|from| after.from.is_none_or(|new| new < from));
        let longer = had.until.is_some_and(|until| after.until.is_none_or(|new| new > until));
        self.may(by, node, Permission::MembersUpdate)
            && self.covers(by, node, &had.roles)
            && self.covers(by, node, &after.roles)
            && (by != person || !(raises || earlier || longer))
            && !self.orphans(person, node, Some(after.clone()))
    }

    /// Resuming gives the roles anew, which nobody does for themselves.
    pub(in crate::tests) fn can_suspend(
        &self,
        by: usize,
        (person, node): (usize, usize),
        suspended: bool,
    ) -> bool {
        let had = &self.memberships[&(person, node)];
        let after = Membership { suspended, ..had.clone() };
        let resumes_oneself = by == person && had.suspended && !suspended;
        self.may(by, node, Permission::MembersSuspend)
            && self.covers(by, node, &had.roles)
            && !resumes_oneself
            && !self.orphans(person, node, Some(after))
    }

    /// Whoever leaves needs nothing.
    pub(in crate::tests) fn can_remove(&self, by: usize, (person, node): (usize, usize)) -> bool {
        let had = &self.memberships[&(person, node)];
        let may =
            self.may(by, node, Permission::MembersRemove) && self.covers(by, node, &had.roles);
        (by == person || may) && !self.orphans(person, node, None)
    }
}
