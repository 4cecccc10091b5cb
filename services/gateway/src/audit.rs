//! The history of an organisation.

mod list;

use crate::{clients::Gateway, openapi::Routes};

pub(crate) fn routes() -> Routes<Gateway> {
    Routes::new()
        .get("/api/organisations/{id}/audit-records", list::list, list::about())
        .tagged("history")
}
