//! What is behind an invitation's link. Opening it changes nothing (mail scanners open links): only
//! a submitted form does. A link that cannot be used says so before anyone types.

mod accept;
mod decline;
mod enrol;
mod forms;
mod join;
mod link;
mod open;
mod sign_in;
mod stop;

use axum::{Router, routing::get};

pub(super) use sign_in::sign_out;

use crate::clients::Gateway;

pub(super) fn routes() -> Router<Gateway> {
    // A browser that reloads after a form, or goes back, asks for the form's address.
    Router::new()
        .route("/invitations/{token}", get(open::open))
        .route("/invitations/{token}/enrol", get(open::open).post(enrol::enrol))
        .route("/invitations/{token}/accept", get(open::open).post(accept::accept))
        .route("/invitations/{token}/decline", get(open::open).post(decline::decline))
}
