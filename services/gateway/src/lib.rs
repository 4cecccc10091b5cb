//! The gateway: the REST endpoints and the pages, on one port. It owns no data; whatever is to be
//! decided is decided by the service that does, in the caller's own name.
//!
//! | Where | What |
//! |---|---|
//! | `sessions`, `me`, `organisations`, `invitations` | REST, one endpoint a file |
//! | `keys` | the keys that verify access tokens |
//! | `pages` | what a person sees, above all behind an invitation's link |
//! | `mailbox` | the mails of the embedded mode |
//! | `input`, `bearer` | what callers send, as types |
//! | `problem` | every refusal, and the table from gRPC codes to HTTP |
//! | `bounds`, `headers`, `fallback` | what holds for every request |

mod bearer;
mod bounds;
mod clients;
mod fallback;
mod headers;
mod input;
mod invitations;
mod keys;
mod mailbox;
mod me;
mod organisations;
mod pages;
mod problem;
mod sessions;
mod timestamp;

#[cfg(test)]
mod tests;

use axum::Router;
use service::{Infra, Mail, Module};

use clients::Gateway;

/// The gateway, ready to be run. The mailbox's routes exist only where mail stays in this process.
pub fn build(infra: &Infra) -> anyhow::Result<Module> {
    let gateway = Gateway { peers: infra.peers("gateway")?, has_mailbox: infra.has_mailbox() };
    let mut routes = Router::new()
        .merge(sessions::routes())
        .merge(me::routes())
        .merge(organisations::routes())
        .merge(invitations::routes())
        .merge(keys::routes())
        .merge(pages::routes())
        .with_state(gateway);
    if let Some(Mail::Mailbox(mailbox)) = &infra.mail {
        routes = routes.merge(mailbox::routes(mailbox.clone(), &infra.settings.public_url));
    }
    let routes =
        routes.fallback(fallback::unknown_path).method_not_allowed_fallback(fallback::wrong_method);
    let http = bounds::apply(routes, &infra.settings);
    Ok(Module { http: Some(http), ..Module::new("gateway") })
}
