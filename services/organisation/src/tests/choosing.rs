use super::{
    life::{Disagreement, Life},
    model::{Hours, Membership, OWNER, PEOPLE, Role, Roles, Stands},
    steps::{About, Aim, Deed, Step},
};
use crate::domain::permission::Permission;

impl Life {
    /// Takes a step; answers whether something was done.
    pub(super) async fn take(&mut self, step: &Step) -> Result<bool, Disagreement> {
        match step.deed.about() {
            About::Tree => self.step_in_the_tree(step).await,
            About::Roles => self.step_of_roles(step).await,
            About::Members => self.step_of_members(step).await,
            About::Invitations => self.step_of_invitations(step).await,
            About::Time => {
                let next = self.model.next_moment().filter(|_| step.aim == Aim::Done);
                self.pass(next.map_or(step.passes, |at| at - self.model.now)).await;
                Ok(true)
            }
        }
    }

    async fn step_in_the_tree(&mut self, step: &Step) -> Result<bool, Disagreement> {
        let model = &self.model;
        let nodes = || 0..model.nodes.len();
        let ends = || [None].into_iter().chain(nodes().map(Some));
        let closed_by = |node: usize| model.nodes[node].archived_by;
        if step.deed == Deed::Create {
            let it = Permission::OrganisationsCreate;
            let may = |&(by, parent): &_| model.may_at(by, parent, it);
            let can = |&(by, parent): &_| model.can_create(by, parent);
            let Some((by, parent)) = step.choose(by(ends()), may, can) else { return Ok(false) };
            return self.create(by, parent).await;
        }
        if step.deed == Deed::Move {
            let all = nodes().flat_map(|node| ends().map(move |to| (node, to)));
            let open = |node: usize| closed_by(node).is_none();
            let may = |&(by, (node, to)): &_| {
                model.may_move(by, node, to) && open(node) && to.is_none_or(open)
            };
            let can = |&(by, (node, to)): &_| model.can_move(by, node, to);
            let Some((by, (node, to))) = step.choose(by(all), may, can) else { return Ok(false) };
            return self.relocate(by, node, to).await;
        }
        let archives = step.deed == Deed::Archive;
        let may = |&(by, node): &_| model.can_archive(by, node);
        // One in two closes what something above had closed, if that did.
        let closed = nodes().any(|node| closed_by(node).is_some_and(|by| by != node));
        let again = closed && step.instead.is_some();
        let can = |&(by, node): &(usize, usize)| match archives {
            true if again && closed_by(node).is_none() => false,
            true => model.can_archive(by, node) && closed_by(node) != Some(node),
            false => model.can_restore(by, node) && closed_by(node).is_some(),
        };
        let Some((by, node)) = step.choose(by(nodes()), may, can) else { return Ok(false) };
        if archives { self.archive(by, node).await } else { self.restore(by, node).await }
    }

    async fn step_of_roles(&mut self, step: &Step) -> Result<bool, Disagreement> {
        let (model, wanted) = (&self.model, step.permissions);
        let manages = |by, root| model.may(by, root, Permission::RolesManage);
        if step.deed == Deed::CreateRole {
            let may = |&(by, root): &_| manages(by, root);
            let can = |&(by, root): &_| model.can_create_role(by, root, wanted);
            let chosen = step.choose(by(0..model.nodes.len()), may, can);
            let Some((by, root)) = chosen else { return Ok(false) };
            return self.create_role(by, root, wanted).await;
        }
        let custom = || by(model.custom.keys().copied());
        if step.deed == Deed::ChangeRole {
            let may = |&(by, role): &_| manages(by, model.custom[&role].root);
            let can = |&(by, role): &_| model.can_change_role(by, role, wanted);
            let Some((by, role)) = step.choose(custom(), may, can) else { return Ok(false) };
            return self.change_role(by, role, wanted).await;
        }
        let all = custom().map(|(by, role)| {
            let given = model.given_at(model.custom[&role].root);
            (by, role, step.instead.map(|index| *index.get(&given)))
        });
        let may = |&(by, role, _): &_| manages(by, model.custom[&role].root);
        let can = |&(by, role, instead): &_| model.can_delete_role(by, role, instead);
        let Some((by, role, instead)) = step.choose(all, may, can) else { return Ok(false) };
        self.delete_role(by, role, instead).await
    }

    async fn step_of_members(&mut self, step: &Step) -> Result<bool, Disagreement> {
        let model = &self.model;
        if step.deed == Deed::Add {
            let may = |&(by, node, person, _): &(_, _, _, Roles)| {
                let is_member = model.memberships.contains_key(&(person, node));
                model.may(by, node, Permission::MembersCreate) && !is_member
            };
            let can = |it: &(_, _, _, Roles)| model.can_add(it.0, it.1, it.2, &it.3);
            let chosen = step.choose(self.meetings(step), may, can);
            let Some((by, node, person, roles)) = chosen else { return Ok(false) };
            let (from, until) = self.span(step);
            let new = Membership { roles, suspended: false, from, until };
            return self.add(by, node, person, new).await;
        }
        let may = |&(by, whose): &(usize, (usize, usize))| {
            let suspended = model.memberships[&whose].suspended;
            let permission = match step.deed {
                Deed::Suspend | Deed::Resume => Permission::MembersSuspend,
                Deed::Remove => Permission::MembersRemove,
                _ => Permission::MembersUpdate,
            };
            model.may(by, whose.1, permission) && suspended == (step.deed == Deed::Resume)
        };
        let can = |&(by, whose): &(usize, (usize, usize))| {
            let suspended = model.memberships[&whose].suspended;
            match step.deed {
                Deed::Suspend => !suspended && model.can_suspend(by, whose, true),
                Deed::Resume => suspended && model.can_suspend(by, whose, false),
                Deed::Remove => model.can_remove(by, whose),
                _ => model.can_change(by, whose, &self.changed(step, whose)),
            }
        };
        let all = by(model.memberships.keys().copied());
        let Some((by, whose)) = step.choose(all, may, can) else { return Ok(false) };
        let after = self.changed(step, whose);
        match step.deed {
            Deed::SetRoles => self.set_roles(by, whose, after).await,
            Deed::SetTime => self.set_time(by, whose, after).await,
            Deed::Remove => self.remove(by, whose).await,
            _ => self.suspend(by, whose, after).await,
        }
    }

    /// What a step makes of a membership.
    fn changed(&self, step: &Step, whose: (usize, usize)) -> Membership {
        let had = self.model.memberships[&whose].clone();
        let (from, until) = self.span(step);
        match step.deed {
            Deed::SetRoles => Membership { roles: self.roles(step, whose.1), ..had },
            Deed::SetTime => Membership { from, until, ..had },
            _ => Membership { suspended: step.deed == Deed::Suspend, ..had },
        }
    }

    async fn step_of_invitations(&mut self, step: &Step) -> Result<bool, Disagreement> {
        let model = &self.model;
        if step.deed == Deed::Invite {
            let may = |&(by, node, person, _): &(_, _, _, Roles)| {
                model.may(by, node, Permission::InvitationsCreate)
                    && model.pending(person, node).is_none()
            };
            let can = |it: &(_, _, _, Roles)| model.can_invite(it.0, it.1, it.2, &it.3);
            let chosen = step.choose(self.meetings(step), may, can);
            let Some((by, node, person, roles)) = chosen else { return Ok(false) };
            return self.invite(by, node, person, roles).await;
        }
        let may = |&(by, index): &(usize, usize)| {
            let it = &model.invitations[index];
            match step.deed {
                Deed::Accept if model.nodes[it.node].archived_by.is_some() => false,
                Deed::Accept => by == it.person && it.stands == Stands::Pending,
                Deed::Decline => it.stands == Stands::Pending,
                Deed::Revoke => model.may(by, it.node, Permission::InvitationsRevoke),
                _ => model.may(by, it.node, Permission::InvitationsReissue),
            }
        };
        let can = |&(by, index): &(usize, usize)| {
            let stands = model.invitations[index].stands;
            match step.deed {
                Deed::Accept => stands == Stands::Pending && model.can_accept(by, index),
                Deed::Decline => stands == Stands::Pending && model.can_decline(by, index),
                Deed::Revoke => stands != Stands::Revoked && model.can_revoke(by, index),
                _ => model.can_reissue(by, index),
            }
        };
        let chosen = step.choose(by(0..model.invitations.len()), may, can);
        let Some((by, index)) = chosen else { return Ok(false) };
        match step.deed {
            Deed::Accept => self.accept(by, index).await,
            Deed::Decline => self.decline(by, index).await,
            Deed::Revoke => self.revoke(by, index).await,
            _ => self.reissue(by, index).await,
        }
    }

    /// Who could bring whom where, as what. One in two is added as what they are offered already, if
    /// anybody is.
    fn meetings(&self, step: &Step) -> impl Iterator<Item = (usize, usize, usize, Roles)> {
        let nodes = 0..self.model.nodes.len();
        let places = nodes.flat_map(|node| (0..PEOPLE).map(move |person| (node, person)));
        let mut all: Vec<_> =
            places.map(|(node, person)| (node, person, self.roles(step, node))).collect();
        let waiting = self.model.invitations.iter().filter(|it| it.stands == Stands::Pending);
        let offered: Vec<_> = waiting.map(|it| (it.node, it.person, it.roles.clone())).collect();
        if step.deed == Deed::Add && step.instead.is_some() && !offered.is_empty() {
            all = offered;
        }
        by(all.into_iter()).map(|(by, (node, person, roles))| (by, node, person, roles))
    }

    fn roles(&self, step: &Step, node: usize) -> Roles {
        let mut given = self.model.given_at(node);
        // Of the built-in ones there are more.
        given.extend(given.clone().into_iter().filter(|it| matches!(it, Role::Custom(_))));
        step.roles.iter().map(|index| *index.get(&given)).collect()
    }

    fn span(&self, step: &Step) -> (Option<Hours>, Option<Hours>) {
        let (now, from) = (self.model.now, step.begins.map(|hours| self.model.now + hours));
        (from, step.lasts.map(|hours| from.unwrap_or(now) + hours))
    }
}

/// Everything by everybody, though the platform owner, who can do most, does less than others.
fn by<T: Clone>(all: impl Iterator<Item = T>) -> impl Iterator<Item = (usize, T)> {
    let others = || 1..PEOPLE;
    let people = move || [OWNER].into_iter().chain(others()).chain(others()).chain(others());
    all.flat_map(move |it| people().map(move |by| (by, it.clone())))
}
