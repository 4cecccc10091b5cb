use api::notification::v1::{CreateSuppressionRequest, CreateSuppressionResponse};
use kernel::{EmailAddress, Fields, Malformed, misleads};
use service::Caller;

use crate::{
    Notification,
    entity::suppression::{self, Model, Reason},
    error::Error,
    rights,
};

/// Puts an address on the suppression list: no mail goes there any more.
///
/// Rule: one that is there already stays as it is, with its first reason, and is answered; one that
/// has only unsubscribed from reminders is put there as if it were not.
/// Permission: `operations.manage` at the platform, or the scope of that name. Event: none.
pub(crate) async fn create_suppression(
    notification: &Notification,
    caller: &Caller,
    request: CreateSuppressionRequest,
) -> Result<CreateSuppressionResponse, Error> {
    let CreateSuppressionRequest { email, note } = request;
    let mut fields = Fields::default();
    let email = fields.read("email", EmailAddress::parse(&email));
    let note = fields.read("note", parse_note(note));
    let (Some(email), Some(note)) = (email, note) else {
        return Err(Error::Invalid(fields));
    };
    rights::require_operator(notification, caller).await?;
    let row = Model {
        email: email.to_string(),
        id: notification.clock.new_id(),
        reason: Reason::Manual,
        note,
        delivery_id: None,
        created_at: notification.clock.now(),
    };

    let tx = notification.database.begin().await?;
    suppression::insert_unless_there(&tx, row).await?;
    let row = suppression::find(&*tx, email.as_str()).await?;
    // One that was there may be taken off at this moment.
    let row = row.ok_or(Error::SuppressionNotFound)?;
    tx.commit().await?;
    Ok(CreateSuppressionResponse { suppression: Some(row.into()) })
}

fn parse_note(note: String) -> Result<String, Malformed> {
    let fits = note.chars().count() <= 200 && !note.chars().any(misleads);
    if fits {
        Ok(note)
    } else {
        Err(Malformed("at most 200 characters without control characters"))
    }
}
