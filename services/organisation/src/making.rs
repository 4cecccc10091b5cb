//! From what was prepared to invitations: one, or many in one transaction.

use api::{
    identity::v1::{User, UserStatus},
    organisation::v1::InvitationCreated,
};
use db::DbErr;
use kernel::{Uuid, parse_id};

use crate::{
    Organisations,
    call::Call,
    change::{Change, Record},
    domain::role::Roles,
    entity::{invitation, membership, person},
    error::Error,
    prepared::Prepared,
    settlement,
};

/// An invitation in the making.
struct Made {
    row: invitation::Model,
    roles: Roles,
    /// Whether it must be the invitee's first.
    must_be_new: bool,
    is_new: bool,
}

/// Makes the invitations that their invitees may have, in their order: what stands against one is
/// told in its place, and the others are made all the same. Event for each:
/// `organisation.invitation.created.v1`, which becomes the mail.
///
/// The number of queries does not depend on how many there are, but for those where an existing
/// account is refused.
pub(crate) async fn make(
    service: &Organisations,
    change: &Change<'_>,
    call: &Call,
    wanted: Vec<(Prepared, User)>,
) -> Result<Vec<Result<invitation::Model, Error>>, Error> {
    let mut outcomes = offers(service, change, wanted).await?;
    let rows: Vec<_> = outcomes.iter().flatten().map(|it| &it.row).collect();
    let places: Vec<_> = rows.iter().map(|row| (row.organisation_id, &*row.email)).collect();
    settlement::make_room(change, &places).await?;
    let made = invitation::insert(change, &rows).await?;
    if made.len() < rows.len() {
        let pending = invitation::pending_at(&**change, &places, change.now).await?;
        for outcome in &mut outcomes {
            if let Ok(Made { row, .. }) = outcome
                && !made.contains(&row.id)
            {
                let place = (row.organisation_id, row.email.clone());
                // The nil UUID if it is gone by now.
                let id = pending.get(&place).copied().unwrap_or_default();
                *outcome = Err(Error::InvitationPending { id });
            }
        }
    }
    refuse_accounts(change, &mut outcomes).await?;
    let made: Vec<_> = outcomes.iter().flatten().collect();
    tell(change, call, &made).await?;
    Ok(outcomes.into_iter().map(|outcome| outcome.map(|made| made.row)).collect())
}

/// Makes one.
pub(crate) async fn make_one(
    service: &Organisations,
    change: &Change<'_>,
    call: &Call,
    prepared: Prepared,
    account: User,
) -> Result<invitation::Model, Error> {
    let made = make(service, change, call, vec![(prepared, account)]).await?.pop();
    made.unwrap_or_else(|| Err(Error::Internal("nothing was made".to_owned())))
}

/// What is offered to those whose account can be used, and who lack it.
async fn offers(
    service: &Organisations,
    change: &Change<'_>,
    wanted: Vec<(Prepared, User)>,
) -> Result<Vec<Result<Made, Error>>, Error> {
    let mut pairs = Vec::with_capacity(wanted.len());
    for (prepared, account) in &wanted {
        let invitee = parse_id(&account.id).map_err(|it| Error::Internal(it.to_string()))?;
        pairs.push((invitee, prepared.organisation));
    }
    let held = membership::lasting_roles(&**change, &pairs, change.now).await?;
    let offer = |((prepared, account), pair): ((Prepared, User), (Uuid, Uuid))| {
        let is_new = match account.status() {
            UserStatus::Invited => true,
            UserStatus::Active => false,
            UserStatus::Suspended | UserStatus::Disposed => return Err(Error::AccountUnusable),
            UserStatus::Unspecified => {
                return Err(Error::Internal("a user without a status".to_owned()));
            }
        };
        if prepared.roles.are_among(held.get(&pair)) {
            return Err(Error::AlreadyMember);
        }
        let (roles, must_be_new) = (prepared.roles.clone(), prepared.refuses_accounts);
        let row = prepared.row(service, pair.0, change.now);
        Ok(Made { row, roles, must_be_new, is_new })
    };
    Ok(wanted.into_iter().zip(pairs).map(offer).collect())
}

/// Takes back what is offered to somebody who exists already, where that is refused; one after the
/// other, as if each came alone.
///
/// An account that nobody has used and that belongs nowhere is what an attempt to invite has left
/// behind that came to nothing: it is as good as none.
async fn refuse_accounts(
    change: &Change<'_>,
    outcomes: &mut [Result<Made, Error>],
) -> Result<(), DbErr> {
    for place in 0..outcomes.len() {
        let new: Vec<_> = outcomes[place..].iter().flatten().map(|it| it.row.id).collect();
        let Ok(Made { row, must_be_new: true, is_new, .. }) = &outcomes[place] else { continue };
        let now = change.now;
        if !is_new || invitation::is_known_elsewhere(&**change, row.invitee_id, &new, now).await? {
            invitation::take_back(change, row.id).await?;
            outcomes[place] = Err(Error::AccountExists);
        }
    }
    Ok(())
}

/// Tells of what was made, and writes it into the history.
async fn tell(change: &Change<'_>, call: &Call, made: &[&Made]) -> Result<(), DbErr> {
    if made.is_empty() {
        return Ok(());
    }
    // The mail names the inviter.
    person::remember_caller(&**change, call).await?;
    let event = |Made { row, .. }: &&Made| {
        let event = InvitationCreated {
            invitation_id: row.id.to_string(),
            organisation_id: row.organisation_id.to_string(),
            issue: row.issue,
        };
        (row.id, event)
    };
    let events: Vec<_> = made.iter().map(event).collect();
    change.publish_each("organisation.invitation.created.v1", &events).await?;
    let record = |Made { row, roles, .. }: &&Made| {
        let record = Record::of("invitation", row.id, row.organisation_id);
        record.invitation(row.id).detail(format!("roles={roles}"))
    };
    change.record_each(made.iter().map(record).collect()).await
}
