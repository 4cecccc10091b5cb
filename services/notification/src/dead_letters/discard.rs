use api::notification::v1::{DiscardDeadLetterRequest, DiscardDeadLetterResponse};
use kernel::{Fields, parse_id};
use service::Caller;

use crate::{
    Notification,
    entity::dead_letter::{self, State},
    error::Error,
    rights,
};

/// Gives a dead letter up for good.
///
/// Rule: one that waits for a decision, once.
/// Permission: `operations.manage` at the platform, or the scope of that name. Event: none.
pub(crate) async fn discard_dead_letter(
    notification: &Notification,
    caller: &Caller,
    request: DiscardDeadLetterRequest,
) -> Result<DiscardDeadLetterResponse, Error> {
    let DiscardDeadLetterRequest { id } = request;
    let mut fields = Fields::default();
    let Some(id) = fields.read("id", parse_id(&id)) else {
        return Err(Error::Invalid(fields));
    };
    rights::require_operator(notification, caller).await?;
    let tx = notification.database.begin().await?;
    let now = notification.clock.now();
    let decided = dead_letter::decide(&*tx, id, State::Discarded, caller.subject, now).await?;
    let row = dead_letter::find(&*tx, id).await?.ok_or(Error::DeadLetterNotFound)?;
    if !decided {
        return Err(Error::DeadLetterDecided);
    }
    tx.commit().await?;
    Ok(DiscardDeadLetterResponse { dead_letter: Some(row.into()) })
}
