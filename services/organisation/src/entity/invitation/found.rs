//! What invitations are found by. What an index is restricted to stands there as a constant: as a
//! parameter it would be no reason for a planner to use the index.

use api::organisation::v1 as proto;
use kernel::Time;
use sea_orm::{
    Condition, ExprTrait as _, Value,
    entity::prelude::*,
    sea_query::{Expr, SimpleExpr},
};

use super::{Column, DeliveryState, State};

/// The rows that are in a state at a moment, as conditions of which a row meets one at most: one whose
/// time is over need not say so yet. Those that say so come last: a row that is marked between two
/// queries is found twice rather than by none.
pub(crate) fn in_state(state: proto::InvitationState, now: Time) -> Vec<Condition> {
    use proto::InvitationState as Asked;
    let state_now = || Expr::col(Column::State.as_column_ref());
    let pending = || Condition::all().add(state_now().eq(constant("pending")));
    let settled = |state: State| {
        let not_pending = state_now().ne(constant("pending"));
        vec![Condition::all().add(not_pending).add(Column::State.eq(state))]
    };
    match state {
        Asked::Unspecified => vec![Condition::all()],
        Asked::Pending => vec![pending().add(Column::ExpiresAt.gt(now))],
        Asked::Accepted => settled(State::Accepted),
        Asked::Declined => settled(State::Declined),
        Asked::Revoked => settled(State::Revoked),
        Asked::Expired => {
            let mut either = vec![pending().add(Column::ExpiresAt.lte(now))];
            either.extend(settled(State::Expired));
            either
        }
    }
}

/// The same as one condition, where few rows are looked at.
pub(crate) fn is_in_state(state: proto::InvitationState, now: Time) -> Condition {
    in_state(state, now).into_iter().fold(Condition::any(), Condition::add)
}

/// The invitations with an identifier that their maker gave them (`invitations_source`).
pub(crate) fn of_source(source: String) -> Condition {
    let has_one = Expr::col(Column::SourceId.as_column_ref()).ne(constant(""));
    Condition::all().add(Column::SourceId.eq(source)).add(has_one)
}

/// The invitations whose newest mail fares so; all if that is left open (`invitations_undelivered` has
/// those for which nobody was reached).
pub(crate) fn in_delivery_state(state: proto::InvitationDeliveryState) -> Condition {
    use proto::InvitationDeliveryState as Asked;
    let is = |state: DeliveryState| Condition::all().add(Column::DeliveryState.eq(state));
    let unreached = |state: DeliveryState| {
        let state_now = || Expr::col(Column::DeliveryState.as_column_ref());
        let on_its_way = state_now().ne(constant("queued"));
        is(state).add(on_its_way).add(state_now().ne(constant("sent")))
    };
    match state {
        Asked::Unspecified => Condition::all(),
        Asked::Queued => is(DeliveryState::Queued),
        Asked::Sent => is(DeliveryState::Sent),
        Asked::Failed => unreached(DeliveryState::Failed),
        Asked::Bounced => unreached(DeliveryState::Bounced),
        Asked::Suppressed => unreached(DeliveryState::Suppressed),
    }
}

fn constant(text: &str) -> SimpleExpr {
    SimpleExpr::Constant(Value::from(text))
}
