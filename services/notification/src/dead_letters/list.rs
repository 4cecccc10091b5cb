use api::notification::v1::{DeadLetterState, ListDeadLettersRequest, ListDeadLettersResponse};
use db::PageRequest;
use kernel::{Fields, Malformed};
use service::Caller;

use crate::{
    Notification,
    entity::dead_letter::{self, Model, State},
    error::Error,
    rights,
};

/// The dead letters in a state, the oldest first, of one queue or of all.
///
/// Permission: `operations.manage` at the platform, or the scope of that name. Event: none.
pub(crate) async fn list_dead_letters(
    notification: &Notification,
    caller: &Caller,
    request: ListDeadLettersRequest,
) -> Result<ListDeadLettersResponse, Error> {
    let ListDeadLettersRequest { queue, state, page_size, page_token } = request;
    let mut fields = Fields::default();
    let page = PageRequest::parse(&mut fields, page_size, &page_token);
    let fits = queue.len() <= 255;
    fields.read("queue", fits.then_some(()).ok_or(Malformed("a queue's name")));
    let state = match DeadLetterState::try_from(state) {
        Ok(DeadLetterState::Unspecified | DeadLetterState::Waiting) => Ok(State::Waiting),
        Ok(DeadLetterState::Replayed) => Ok(State::Replayed),
        Ok(DeadLetterState::Discarded) => Ok(State::Discarded),
        Err(_) => Err(Malformed("a state of the enum")),
    };
    let state = fields.read("state", state);
    let (Some(page), Some(state), true) = (page, state, fits) else {
        return Err(Error::Invalid(fields));
    };
    rights::require_operator(notification, caller).await?;
    let database = notification.database.read();
    let rows = dead_letter::list(database, state, &queue, page.after, page.limit()).await?;
    let page = page.cut(rows, |row| row.id);
    let brief = |row| Model { payload: Vec::new(), ..row }.into();
    Ok(ListDeadLettersResponse {
        dead_letters: page.rows.into_iter().map(brief).collect(),
        next_page_token: page.next_page_token,
    })
}
