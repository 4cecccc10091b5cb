use api::organisation::v1::{
    BatchCheckPermissionsRequest, CheckPermissionRequest, ListOrganisationsRequest, Organisation,
};
use askama::Template;
use axum::{extract::State, http::StatusCode, response::Response};

use super::Stop;
use crate::{
    clients::Gateway,
    input::{Query, accept},
    pages::{page, session::SignedIn},
};

#[derive(Template)]
#[template(path = "invite/choose.html")]
struct Choose {
    query: String,
    organisations: Vec<Organisation>,
    /// There are more than one page of organisations shows.
    more: bool,
}

/// `GET /invite?query=`: the organisations into which the person may invite, the first hundred by
/// name or by the words of the query.
///
/// Errors: 303 to the sign-in page for nobody.
pub(super) async fn choose(
    State(gateway): State<Gateway>,
    SignedIn(person): SignedIn,
    mut asked: Query,
) -> Result<Response, Stop> {
    let query = asked.text("query");
    accept([asked.fields])?;
    let request = ListOrganisationsRequest {
        recursive: true,
        query: query.clone(),
        order_by: "display_name".to_owned(),
        page_size: 100,
        ..Default::default()
    };
    let seen = gateway.organisations(person.clone()).list_organisations(request).await?;
    let seen = seen.into_inner();
    let more = !seen.next_page_token.is_empty();
    let checks: Vec<_> = seen.organisations.iter().map(may_invite).collect();
    let allowed = if checks.is_empty() {
        Vec::new()
    } else {
        let request = BatchCheckPermissionsRequest { checks };
        let answer = gateway.permissions(person).batch_check_permissions(request).await?;
        answer.into_inner().allowed
    };
    let seen = seen.organisations.into_iter().zip(allowed);
    let organisations = seen.filter_map(|(organisation, allowed)| allowed.then_some(organisation));
    let organisations = organisations.collect();
    Ok(page(StatusCode::OK, &Choose { query, organisations, more }))
}

fn may_invite(organisation: &Organisation) -> CheckPermissionRequest {
    CheckPermissionRequest {
        subject_id: String::new(),
        organisation_id: organisation.id.clone(),
        permission: "invitations.create".to_owned(),
    }
}
