use super::{Invitation, LINK_LIFE, Membership, Model, Roles, Stands};
use crate::domain::permission::Permission;

impl Model {
    pub(in crate::tests) fn can_invite(
        &self,
        by: usize,
        node: usize,
        person: usize,
        roles: &Roles,
    ) -> bool {
        let held = self.memberships.get(&(person, node));
        self.may(by, node, Permission::InvitationsCreate)
            && self.covers(by, node, roles)
            && !held.is_some_and(|it| roles.is_subset(&it.roles))
            && self.pending(person, node).is_none()
    }

    pub(in crate::tests) fn invite(
        &mut self,
        inviter: usize,
        node: usize,
        person: usize,
        roles: Roles,
        id: String,
    ) {
        let (stands, until) = (Stands::Pending, self.now + LINK_LIFE);
        let new = Invitation { id, node, person, inviter, roles, stands, until };
        self.invitations.push(new);
    }

    /// The inviter must be able to offer it at this moment.
    pub(in crate::tests) fn can_accept(&self, by: usize, index: usize) -> bool {
        let it = &self.invitations[index];
        let offered = self.may(it.inviter, it.node, Permission::InvitationsCreate)
            && self.covers(it.inviter, it.node, &it.roles);
        by == it.person
            && (it.stands == Stands::Accepted || (it.stands == Stands::Pending && offered))
    }

    /// Whoever is a member gets the roles on top. Accepting twice is once.
    pub(in crate::tests) fn accept(&mut self, index: usize) {
        let Invitation { node, person, ref roles, stands, .. } = self.invitations[index];
        if stands == Stands::Accepted {
            return;
        }
        let new = Membership { roles: Roles::new(), suspended: false, from: None, until: None };
        let member = self.memberships.entry((person, node)).or_insert(new);
        member.roles.extend(roles);
        self.invitations[index].stands = Stands::Accepted;
        self.settle(person, node);
    }

    pub(in crate::tests) fn can_decline(&self, by: usize, index: usize) -> bool {
        let it = &self.invitations[index];
        by == it.person && [Stands::Pending, Stands::Declined].contains(&it.stands)
    }

    pub(in crate::tests) fn can_revoke(&self, by: usize, index: usize) -> bool {
        let it = &self.invitations[index];
        self.may(by, it.node, Permission::InvitationsRead)
            && self.may(by, it.node, Permission::InvitationsRevoke)
            && [Stands::Pending, Stands::Expired, Stands::Revoked].contains(&it.stands)
    }

    /// A role that it offers may be gone by now, and another invitation may wait.
    pub(in crate::tests) fn can_reissue(&self, by: usize, index: usize) -> bool {
        let it = &self.invitations[index];
        let given: Roles = self.given_at(it.node).into_iter().collect();
        self.may(by, it.node, Permission::InvitationsRead)
            && self.may(by, it.node, Permission::InvitationsReissue)
            && it.roles.is_subset(&given)
            && self.covers(by, it.node, &it.roles)
            && (it.stands == Stands::Pending
                || (it.stands == Stands::Expired && self.pending(it.person, it.node).is_none()))
    }

    /// Whoever reissues takes the inviter's place.
    pub(in crate::tests) fn reissue(&mut self, by: usize, index: usize) {
        let until = self.now + LINK_LIFE;
        let it = &mut self.invitations[index];
        (it.inviter, it.stands, it.until) = (by, Stands::Pending, until);
    }

    /// What a new member was offered is settled, if it is nothing more than they have.
    pub(super) fn settle(&mut self, person: usize, node: usize) {
        let held = &self.memberships[&(person, node)].roles;
        for it in self.invitations.iter_mut().filter(|it| (it.person, it.node) == (person, node)) {
            if it.stands == Stands::Pending && it.roles.is_subset(held) {
                it.stands = Stands::Accepted;
            }
        }
    }

    /// The invitation of somebody to a node that waits for an answer; there is one at most.
    pub(in crate::tests) fn pending(&self, person: usize, node: usize) -> Option<&Invitation> {
        let mut all = self.invitations.iter().filter(|it| it.stands == Stands::Pending);
        all.find(|it| (it.person, it.node) == (person, node))
    }
}
