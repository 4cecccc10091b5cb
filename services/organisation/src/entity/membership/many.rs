use std::collections::{BTreeMap, HashMap};

use kernel::{Time, Uuid};
use sea_orm::{
    Condition, ConnectionTrait, ExprTrait as _, FromQueryResult, QuerySelect as _,
    entity::prelude::*,
};

use super::{Held, collect, held_by};
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
    let rows = held_by(now)
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
