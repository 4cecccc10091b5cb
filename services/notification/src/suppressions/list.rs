use api::notification::v1::{ListSuppressionsRequest, ListSuppressionsResponse};
use db::PageRequest;
use kernel::{EmailAddress, Fields};
use service::Caller;

use crate::{Notification, entity::suppression, error::Error, rights};

/// The suppression list in the order of its making, or only what it says of one address.
///
/// Permission: `operations.manage` at the platform, or the scope of that name. Event: none.
pub(crate) async fn list_suppressions(
    notification: &Notification,
    caller: &Caller,
    request: ListSuppressionsRequest,
) -> Result<ListSuppressionsResponse, Error> {
    let ListSuppressionsRequest { email, page_size, page_token } = request;
    let mut fields = Fields::default();
    let email = fields.read_optional("email", &email, EmailAddress::parse);
    let page = PageRequest::parse(&mut fields, page_size, &page_token);
    let (Some(email), Some(page)) = (email, page) else {
        return Err(Error::Invalid(fields));
    };
    rights::require_operator(notification, caller).await?;
    let rows = suppression::list(notification.database.read(), email, &page).await?;
    let page = page.cut(rows, |row| row.id);
    Ok(ListSuppressionsResponse {
        suppressions: page.rows.into_iter().map(Into::into).collect(),
        next_page_token: page.next_page_token,
    })
}
