//! What somebody may do.

mod check;
mod explain;

use crate::{clients::Gateway, openapi::Routes};

pub(crate) fn routes() -> Routes<Gateway> {
    Routes::new()
        .post("/api/permission-checks", check::check, check::about())
        .get("/api/permission-explanation", explain::explain, explain::about())
        .tagged("permissions")
}
