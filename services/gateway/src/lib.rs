//! The gateway: the REST endpoints and the pages, on one port. It owns no data; whatever is to be
//! decided is decided by the service that does, in the caller's own name.
//!
//! | Where | What |
//! |---|---|
//! | `sessions`, `me`, `organisations`, `members`, `roles`, `permissions`, `invitations`, `access_requests`, `applications`, `audit` | REST, one endpoint a file |
//! | `openapi` | the document, given together with the routes |
//! | `keys` | the keys that verify access tokens |
//! | `pages` | what a person sees, above all behind an invitation's link |
//! | `mailbox` | the mails of the embedded mode |
//! | `input`, `bearer` | what callers send, as types |
//! | `answer` | a resource as a response |
//! | `problem` | every refusal, and the table from gRPC codes to HTTP |
//! | `bounds`, `headers`, `fallback` | what holds for every request |

mod access_requests;
mod answer;
mod applications;
mod audit;
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
mod members;
mod openapi;
mod organisations;
mod pages;
mod permissions;
mod problem;
mod roles;
mod sessions;
mod timestamp;

#[cfg(test)]
mod tests;

use service::{Infra, Mail, Module};

use clients::Gateway;
use openapi::Routes;

/// The gateway, ready to be run. The mailbox's routes exist only where mail stays in this process.
pub fn build(infra: &Infra) -> anyhow::Result<Module> {
    let gateway = Gateway {
        peers: infra.peers("gateway")?,
        clock: infra.clock.clone(),
        has_mailbox: infra.has_mailbox(),
        is_https: infra.settings.public_url.starts_with("https:"),
    };
    let mut routes = Routes::new()
        .merge(sessions::routes())
        .merge(me::routes())
        .merge(organisations::routes())
        .merge(members::routes())
        .merge(roles::routes())
        .merge(permissions::routes())
        .merge(invitations::routes())
        .merge(access_requests::routes())
        .merge(applications::routes())
        .merge(audit::routes())
        .merge(keys::routes())
        .map(|router| router.merge(pages::routes()).with_state(gateway));
    if let Some(Mail::Mailbox(mailbox)) = &infra.mail {
        routes = routes.merge(mailbox::routes(mailbox.clone(), &infra.settings.public_url));
    }
    let routes = openapi::serve(routes)
        .fallback(fallback::unknown_path)
        .method_not_allowed_fallback(fallback::wrong_method);
    let http = bounds::apply(routes, &infra.settings);
    Ok(Module { http: Some(http), ..Module::new("gateway") })
}
