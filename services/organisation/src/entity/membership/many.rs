use std::collections::{BTreeMap, HashMap, HashSet};

use kernel::{Time, Uuid};
use sea_orm::{
    Condition, ConnectionTrait, ExprTrait as _, FromQueryResult, JoinType, QuerySelect as _,
    entity::prelude::*,
};

use super::{
    Column, counts,
    held::{Held, collect, columns, to_organisation, with_membership},
};
use crate::{
    domain::rights::Rights,
    entity::{ancestor, membership_role},
};

#[derive(FromQueryResult)]
struct HeldBy {
    subject_id: Uuid,
    organisation_id: Uuid,
    #[sea_orm(nested)]
    held: Held,
}

/// The rights of subjects at organisations at a moment, for each pair that is asked for: one query
/// however many there are. Who holds nothing is not in the answer.
pub(crate) async fn rights_of_all(
    connection: &impl ConnectionTrait,
    pairs: &[(Uuid, Uuid)],
    now: Time,
) -> Result<HashMap<(Uuid, Uuid), Rights>, DbErr> {
    let mut asked = BTreeMap::<Uuid, Vec<Uuid>>::new();
    for (subject, organisation) in pairs {
        asked.entry(*subject).or_default().push(*organisation);
    }
    let subject = membership_role::Column::SubjectId;
    let organisation = ancestor::Column::OrganisationId;
    // The first two conditions follow from the third, and are what the indexes are entered by.
    let each = asked.iter().map(|(of, at)| subject.eq(*of).and(organisation.is_in(at.clone())));
    let to_ancestor = membership_role::Entity::belongs_to(ancestor::Entity)
        .from(membership_role::Column::OrganisationId)
        .to(ancestor::Column::AncestorId);
    let held = membership_role::Entity::find()
        .join(JoinType::InnerJoin, to_ancestor.into())
        .join(JoinType::InnerJoin, to_organisation())
        .join(JoinType::InnerJoin, membership_role::Relation::Role.def())
        .filter(counts(now));
    let rows = columns(with_membership(connection, held))
        .filter(subject.is_in(asked.keys().copied()))
        .filter(organisation.is_in(pairs.iter().map(|(_, organisation)| *organisation)))
        .filter(each.fold(Condition::any(), Condition::add))
        .column(subject)
        .column(organisation)
        .into_model::<HeldBy>()
        .all(connection)
        .await?;
    let mut held = HashMap::<_, Vec<Held>>::new();
    for row in rows {
        let HeldBy { subject_id, organisation_id, held: role } = row;
        held.entry((subject_id, organisation_id)).or_default().push(role);
    }
    Ok(held.into_iter().map(|(pair, rows)| (pair, collect(rows))).collect())
}

/// The roles held at exactly these organisations, for each pair of subject and organisation that is
/// asked for, whether or not they count now: one query however many there are. Those of a membership
/// that has ended are not among them: whoever had them may be invited again.
pub(crate) async fn lasting_roles(
    connection: &impl ConnectionTrait,
    pairs: &[(Uuid, Uuid)],
    now: Time,
) -> Result<HashMap<(Uuid, Uuid), HashSet<Uuid>>, DbErr> {
    let subject = membership_role::Column::SubjectId;
    let organisation = membership_role::Column::OrganisationId;
    let held = membership_role::Entity::find()
        .filter(subject.is_in(pairs.iter().map(|(subject, _)| *subject)))
        .filter(organisation.is_in(pairs.iter().map(|(_, organisation)| *organisation)))
        .filter(Column::ExpiresAt.is_null().or(Column::ExpiresAt.gt(now)));
    let rows = with_membership(connection, held).all(connection).await?;
    let mut held = HashMap::<_, HashSet<_>>::new();
    for row in rows {
        held.entry((row.subject_id, row.organisation_id)).or_default().insert(row.role_id);
    }
    Ok(held)
}
