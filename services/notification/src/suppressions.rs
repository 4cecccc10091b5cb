//! Use cases about the suppression list, one a file, and what they share: who may.

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod list;

use service::Caller;

use crate::{
    Notification,
    error::Error,
    rights::{PLATFORM, may},
};

/// The scope, and the permission at the platform, that all of them need.
const MANAGE: &str = "operations.manage";

/// Refuses whoever does not run the platform. No transaction may be open.
async fn require_operator(notification: &Notification, caller: &Caller) -> Result<(), Error> {
    let may = may(notification, caller, PLATFORM, MANAGE).await?;
    if may { Ok(()) } else { Err(Error::PermissionMissing(MANAGE)) }
}
