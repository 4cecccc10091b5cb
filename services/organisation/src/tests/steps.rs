use proptest::{collection::vec, option, prelude::*, sample::Index, strategy::Union};

use super::model::Hours;
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

/// What deeds are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    Tree,
    Roles,
    Members,
    Invitations,
    Time,
}

/// How often each is drawn, in proportion.
pub(super) const DEEDS: [(u32, Deed); 19] = [
    (5, Deed::Create),
    (3, Deed::Archive),
    (3, Deed::Restore),
    (4, Deed::Move),
    (4, Deed::CreateRole),
    (4, Deed::ChangeRole),
    (4, Deed::DeleteRole),
    (6, Deed::Add),
    (3, Deed::SetRoles),
    (3, Deed::SetTime),
    (4, Deed::Suspend),
    (6, Deed::Resume),
    (3, Deed::Remove),
    (8, Deed::Invite),
    (7, Deed::Accept),
    (3, Deed::Decline),
    (2, Deed::Revoke),
    (4, Deed::Reissue),
    (5, Deed::Pass),
];

/// What a step is to come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aim {
    Done,
    /// Refused to somebody who has the permission: by another rule.
    RefusedAllTheSame,
    /// Whatever can be tried.
    Anything,
}

/// One step, as it is drawn: who does it to what depends on what there is by then.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub deed: Deed,
    pub aim: Aim,
    place: Index,
    pub roles: Vec<Index>,
    pub permissions: Permissions,
    /// Another role; and whether what was begun is gone on with.
    pub instead: Option<Index>,
    /// In so many hours, and for so many.
    pub begins: Option<Hours>,
    pub lasts: Option<Hours>,
    pub passes: Hours,
}

/// The steps of a life, more of them about two things than about others: so comes about what takes
/// several steps one after the other.
pub(super) fn some(focus: [About; 2]) -> impl Strategy<Value = Vec<Step>> {
    let weight = |deed: Deed| if focus.contains(&deed.about()) { 4 } else { 1 };
    let deeds = DEEDS.map(|(often, deed)| (often * weight(deed), Just(deed)));
    let deed = Union::new_weighted(deeds.to_vec());
    let aim = prop_oneof![
        5 => Just(Aim::Done),
        4 => Just(Aim::RefusedAllTheSame),
        1 => Just(Aim::Anything),
    ];
    let time = (option::weighted(0.3, 1..12_i64), option::weighted(0.3, 1..24_i64), 1..16_i64);
    let step = (deed, aim, any::<Index>(), vec(any::<Index>(), 1..4));
    let step = (step, permissions(), option::of(any::<Index>()), time).prop_map(
        |((deed, aim, place, roles), permissions, instead, (begins, lasts, passes))| Step {
            deed,
            aim,
            place,
            roles,
            permissions,
            instead,
            begins,
            lasts,
            passes,
        },
    );
    vec(step, 50..100)
}

/// Some permissions; mostly such as see the organisation, without which there is little to do.
fn permissions() -> impl Strategy<Value = Permissions> {
    let all = 0..=Permissions::all().bits();
    (all.clone(), all, prop::bool::weighted(0.9)).prop_map(|(some, others, sees)| {
        let reads = if sees { Permission::OrganisationsRead.bit() } else { 0 };
        Permissions::from_bits(some & others | reads)
    })
}

impl Deed {
    pub(super) fn about(self) -> About {
        match self {
            Self::Create | Self::Archive | Self::Restore | Self::Move => About::Tree,
            Self::CreateRole | Self::ChangeRole | Self::DeleteRole => About::Roles,
            Self::Add | Self::SetRoles | Self::SetTime => About::Members,
            Self::Suspend | Self::Resume | Self::Remove => About::Members,
            Self::Invite | Self::Accept | Self::Decline => About::Invitations,
            Self::Revoke | Self::Reissue => About::Invitations,
            Self::Pass => About::Time,
        }
    }
}

impl Step {
    /// One of all that can be tried, as it is aimed at; nothing if there is none.
    pub(super) fn choose<T>(
        &self,
        all: impl Iterator<Item = T>,
        may: impl Fn(&T) -> bool,
        can: impl Fn(&T) -> bool,
    ) -> Option<T> {
        let aimed_at = |it: &T| match self.aim {
            Aim::Done => can(it),
            Aim::RefusedAllTheSame => may(it) && !can(it),
            Aim::Anything => true,
        };
        let mut all: Vec<_> = all.filter(aimed_at).collect();
        (!all.is_empty()).then(|| all.swap_remove(self.place.index(all.len())))
    }
}
