//! The mailbox of the embedded mode: mail stays in this process, for people and tests to read.
//! Everybody who reaches the port can: `usher up` is for one's own machine.

mod find;
mod guard;
mod list;
mod read;
mod show;

use std::sync::Arc;

use axum::{middleware, routing::get};
use kernel::EmailAddress;
use service::Mailbox;

use crate::openapi::Routes;

pub(crate) fn routes(mailbox: Mailbox, public_url: &str) -> Routes {
    let own: Arc<str> = public_url.into();
    let programs = Routes::new().get("/api/mailbox", find::find, find::about()).tagged("mailbox");
    programs.map(|router| {
        router
            .route("/mailbox", get(list::list))
            .route("/mailbox/{id}", get(show::show))
            .route_layer(middleware::from_fn_with_state(own, guard::own_name))
            .with_state(mailbox)
    })
}

/// The most that is listed at once.
const LIMIT: usize = 100;

/// The recipient that a query asks for, spelled as mails are addressed; nothing means everybody.
fn recipient(to: String) -> Option<String> {
    match EmailAddress::parse(&to) {
        Ok(address) => Some(address.into()),
        Err(_) => Some(to).filter(|to| !to.is_empty()),
    }
}
