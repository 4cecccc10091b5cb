use proptest::{collection::vec, option, prelude::*, sample::Index, strategy::Union};

use super::{
    life::{Disagreement, Life},
    model::{Hours, Membership, PEOPLE, Role, Roles, Stands},
};
use crate::domain::permission::{Permission, Permissions};

/// What can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Deed {
    Create,
    Archive,
    Restore,
    Move,
    CreateRole,
    ChangeRole,
    DeleteRole,
    Add,
    SetRoles,
    SetTime,
    Suspend,
    Resume,
    Remove,
    Invite,
    Accept,
    Decline,
    Revoke,
    Reissue,
    Pass,
}

/// How often each is drawn, in proportion.
pub(super) const DEEDS: [(u32, Deed); 19] = [
    (4, Deed::Create),
    (2, Deed::Archive),
    (3, Deed::Restore),
    (4, Deed::Move),
    (4, Deed::CreateRole),
    (4, Deed::ChangeRole),
    (4, Deed::DeleteRole),
    (6, Deed::Add),
    (3, Deed::SetRoles),
    (2, Deed::SetTime),
    (3, Deed::Suspend),
    (4, Deed::Resume),
    (2, Deed::Remove),
    (7, Deed::Invite),
    (5, Deed::Accept),
    (3, Deed::Decline),
    (3, Deed::Revoke),
    (4, Deed::Reissue),
    (3, Deed::Pass),
];

/// One step, as it is drawn: who does it to what depends on what there is by then.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub deed: Deed,
    /// Whether it is drawn from what can be done, or from all that can be tried.
    apt: bool,
    place: Index,
    roles: Vec<Index>,
    permissions: Permissions,
    instead: Option<Index>,
    /// From now, or from the beginning.
    begins: Option<Hours>,
    lasts: Option<Hours>,
    passes: Hours,
}

/// The steps of a life.
pub(super) fn some() -> impl Strategy<Value = Vec<Step>> {
    let deed = Union::new_weighted(DEEDS.map(|(weight, deed)| (weight, Just(deed))).to_vec());
    let time = (option::weighted(0.3, 1..12_i64), option::weighted(0.3, 1..24_i64), 1..16_i64);
    let instead = option::of(any::<Index>());
    let step = (deed, prop::bool::weighted(0.7), any::<Index>(), vec(any::<Index>(), 1..3));
    let step = (step, permissions(), instead, time).prop_map(
        |((deed, apt, place, roles), permissions, instead, (begins, lasts, passes))| Step {
            deed,
            apt,
            place,
            roles,
            permissions,
            instead,
            begins,
            lasts,
            passes,
        },
    );
    vec(step, 40..90)
}

/// Some permissions; mostly such as see the organisation, without which there is little to do.
fn permissions() -> impl Strategy<Value = Permissions> {
    let all = 0..=Permissions::all().bits();
    (all.clone(), all, prop::bool::weighted(0.9)).prop_map(|(some, others, sees)| {
        let reads = if sees { Permission::OrganisationsRead.bit() } else { 0 };
        Permissions::from_bits(some & others | reads)
    })
}

impl Step {
    /// One of all that can be tried; nothing if there is none.
    fn choose<T>(&self, all: impl Iterator<Item = T>, apt: impl Fn(&T) -> bool) -> Option<T> {
        let mut all: Vec<_> = all.filter(|it| !self.apt || apt(it)).collect();
        (!all.is_empty()).then(|| all.swap_remove(self.place.index(all.len())))
    }
}

impl Life {
    /// Takes a step; answers whether something was done.
    pub(super) async fn take(&mut self, step: &Step) -> Result<bool, Disagreement> {
        match step.deed {
            Deed::Create | Deed::Archive | Deed::Restore | Deed::Move => {
                self.step_in_the_tree(step).await
            }
            Deed::CreateRole | Deed::ChangeRole | Deed::DeleteRole => {
                self.step_of_roles(step).await
            }
            Deed::Add
            | Deed::SetRoles
            | Deed::SetTime
            | Deed::Suspend
            | Deed::Resume
            | Deed::Remove => self.step_of_members(step).await,
            Deed::Invite | Deed::Accept | Deed::Decline | Deed::Revoke | Deed::Reissue => {
                self.step_of_invitations(step).await
            }
            Deed::Pass => {
                self.pass(step.passes).await;
                Ok(true)
            }
        }
    }

    async fn step_in_the_tree(&mut self, step: &Step) -> Result<bool, Disagreement> {
        let model = &self.model;
        let nodes = || 0..model.nodes.len();
        let ends = || [None].into_iter().chain(nodes().map(Some));
        let closed = |node: usize| model.nodes[node].archived_by;
        if step.deed == Deed::Create {
            let chosen = step.choose(by(ends()), |(by, parent)| model.can_create(*by, *parent));
            let Some((by, parent)) = chosen else { return Ok(false) };
            return self.create(by, parent).await;
        }
        if step.deed == Deed::Move {
            let all = nodes().flat_map(|node| ends().map(move |to| (node, to)));
            let apt = |(by, (node, to)): &_| model.can_move(*by, *node, *to);
            let Some((by, (node, to))) = step.choose(by(all), apt) else { return Ok(false) };
            return self.relocate(by, node, to).await;
        }
        let archives = step.deed == Deed::Archive;
        let apt = |(by, node): &(usize, usize)| match archives {
            true => model.can_archive(*by, *node) && closed(*node) != Some(*node),
            false => model.can_restore(*by, *node) && closed(*node).is_some(),
        };
        let Some((by, node)) = step.choose(by(nodes()), apt) else { return Ok(false) };
        if archives { self.archive(by, node).await } else { self.restore(by, node).await }
    }

    async fn step_of_roles(&mut self, step: &Step) -> Result<bool, Disagreement> {
        let (model, wanted) = (&self.model, step.permissions);
        if step.deed == Deed::CreateRole {
            let apt = |(by, root): &_| model.can_create_role(*by, *root, wanted);
            let chosen = step.choose(by(0..model.nodes.len()), apt);
            let Some((by, root)) = chosen else { return Ok(false) };
            return self.create_role(by, root, wanted).await;
        }
        let custom = || by(model.custom.keys().copied());
        if step.deed == Deed::ChangeRole {
            let apt = |(by, role): &_| model.can_change_role(*by, *role, wanted);
            let Some((by, role)) = step.choose(custom(), apt) else { return Ok(false) };
            return self.change_role(by, role, wanted).await;
        }
        let all = custom().map(|(by, role)| {
            let given = model.given_at(model.custom[&role].root);
            (by, role, step.instead.map(|index| *index.get(&given)))
        });
        let apt = |(by, role, instead): &_| model.can_delete_role(*by, *role, *instead);
        let Some((by, role, instead)) = step.choose(all, apt) else { return Ok(false) };
        self.delete_role(by, role, instead).await
    }

    async fn step_of_members(&mut self, step: &Step) -> Result<bool, Disagreement> {
        let model = &self.model;
        if step.deed == Deed::Add {
            let all = self.meetings(step);
            let apt = |(by, node, person, roles): &(_, _, _, _)| {
                model.can_add(*by, *node, *person, roles)
            };
            let Some((by, node, person, roles)) = step.choose(all, apt) else { return Ok(false) };
            let (from, until) = self.span(step);
            let new = Membership { roles, suspended: false, from, until };
            return self.add(by, node, person, new).await;
        }
        let all = by(model.memberships.keys().copied());
        let after = |whose: (usize, usize)| {
            let had = model.memberships[&whose].clone();
            let (from, until) = self.span(step);
            match step.deed {
                Deed::SetRoles => Membership { roles: self.roles(step, whose.1), ..had },
                Deed::SetTime => Membership { from, until, ..had },
                Deed::Suspend => Membership { suspended: true, ..had },
                Deed::Resume => Membership { suspended: false, ..had },
                _ => had,
            }
        };
        let apt = |(by, whose): &(usize, (usize, usize))| {
            let (by, whose, had) = (*by, *whose, &model.memberships[whose]);
            match step.deed {
                Deed::SetRoles | Deed::SetTime => model.can_change(by, whose, &after(whose)),
                Deed::Suspend => !had.suspended && model.can_suspend(by, whose, true),
                Deed::Resume => had.suspended && model.can_suspend(by, whose, false),
                _ => model.can_remove(by, whose),
            }
        };
        let Some((by, whose)) = step.choose(all, apt) else { return Ok(false) };
        let after = after(whose);
        match step.deed {
            Deed::SetRoles => self.set_roles(by, whose, after).await,
            Deed::SetTime => self.set_time(by, whose, after).await,
            Deed::Suspend | Deed::Resume => self.suspend(by, whose, after).await,
            _ => self.remove(by, whose).await,
        }
    }

    async fn step_of_invitations(&mut self, step: &Step) -> Result<bool, Disagreement> {
        let model = &self.model;
        if step.deed == Deed::Invite {
            let all = self.meetings(step);
            let apt = |(by, node, person, roles): &(_, _, _, _)| {
                model.can_invite(*by, *node, *person, roles)
            };
            let Some((by, node, person, roles)) = step.choose(all, apt) else { return Ok(false) };
            return self.invite(by, node, person, roles).await;
        }
        let apt = |(by, index): &(usize, usize)| {
            let (by, index, stands) = (*by, *index, model.invitations[*index].stands);
            match step.deed {
                Deed::Accept => stands == Stands::Pending && model.can_accept(by, index),
                Deed::Decline => stands == Stands::Pending && model.can_decline(by, index),
                Deed::Revoke => stands != Stands::Revoked && model.can_revoke(by, index),
                _ => model.can_reissue(by, index),
            }
        };
        let chosen = step.choose(by(0..model.invitations.len()), apt);
        let Some((by, index)) = chosen else { return Ok(false) };
        match step.deed {
            Deed::Accept => self.accept(by, index).await,
            Deed::Decline => self.decline(by, index).await,
            Deed::Revoke => self.revoke(by, index).await,
            _ => self.reissue(by, index).await,
        }
    }

    /// Who could bring whom where, as what.
    fn meetings(&self, step: &Step) -> impl Iterator<Item = (usize, usize, usize, Roles)> {
        let nodes = 0..self.model.nodes.len();
        let places = nodes.flat_map(|node| (0..PEOPLE).map(move |person| (node, person)));
        by(places).map(|(by, (node, person))| (by, node, person, self.roles(step, node)))
    }

    fn roles(&self, step: &Step, node: usize) -> Roles {
        let given: Vec<Role> = self.model.given_at(node);
        step.roles.iter().map(|index| *index.get(&given)).collect()
    }

    fn span(&self, step: &Step) -> (Option<Hours>, Option<Hours>) {
        let (now, from) = (self.model.now, step.begins.map(|hours| self.model.now + hours));
        (from, step.lasts.map(|hours| from.unwrap_or(now) + hours))
    }
}

/// Everything by everybody.
fn by<T: Clone>(all: impl Iterator<Item = T>) -> impl Iterator<Item = (usize, T)> {
    all.flat_map(|it| (0..PEOPLE).map(move |by| (by, it.clone())))
}
