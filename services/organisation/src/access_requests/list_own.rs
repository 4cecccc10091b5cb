use api::organisation::v1::{ListOwnAccessRequestsRequest, ListOwnAccessRequestsResponse};
use db::PageRequest;
use kernel::Fields;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};

use super::page_of;
use crate::{
    Organisations,
    call::Call,
    entity::access_request::{self, Column},
    error::Error,
};

/// The caller's own requests, oldest first, of one state or all. Everybody's with a token.
pub(crate) async fn list_own(
    service: &Organisations,
    call: &Call,
    request: ListOwnAccessRequestsRequest,
) -> Result<ListOwnAccessRequestsResponse, Error> {
    let ListOwnAccessRequestsRequest { state, page_size, page_token } = request;
    let now = service.clock.now();
    let mut fields = Fields::default();
    let in_state = fields.read("state", access_request::in_state(state, now));
    let page = PageRequest::parse(&mut fields, page_size, &page_token);
    let (Some(in_state), Some(page)) = (in_state, page) else {
        return Err(Error::Invalid(fields));
    };
    let own = access_request::Entity::find()
        .filter(Column::RequesterId.eq(call.subject))
        .filter(in_state);
    let (access_requests, next_page_token) =
        page_of(service.database.read(), page, own, now).await?;
    Ok(ListOwnAccessRequestsResponse { access_requests, next_page_token })
}
