//! What somebody may do.

mod check;
mod explain;
mod list_permitted;

use crate::{clients::Gateway, openapi::Routes};

pub(crate) fn routes() -> Routes<Gateway> {
    Routes::new()
        .post("/api/permission-checks", check::check, check::about())
        .get("/api/permission-explanation", explain::explain, explain::about())
        .get(
            "/api/permitted-organisations",
            list_permitted::list_permitted,
            list_permitted::about(),
        )
        .tagged("permissions")
}
