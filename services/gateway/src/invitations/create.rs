use api::organisation::v1::CreateInvitationRequest;
use axum::{
    Json,
    extract::State,
    http::{StatusCode, header::LOCATION},
    response::IntoResponse,
};
use kernel::Fields;

use super::Invitation;
use crate::{
    bearer::Bearer,
    clients::Gateway,
    input::{Object, Query, accept},
    problem::Problem,
};

/// `POST /api/organisation-invitations?organisation_id=…
/// {"organisation_id", "email", "role", "display_name"?, "locale"?}` → 201: invites an address; one
/// mail goes out. The organisation may be named in the query, in the body, or twice alike.
///
/// Errors: 403 `PERMISSION_MISSING`, `GRANT_CEILING_EXCEEDED`, `ROLE_NOT_INVITABLE`; 404
/// `ORGANISATION_NOT_FOUND`; 409 `INVITATION_PENDING`, `ALREADY_MEMBER`, `ACCOUNT_UNUSABLE`.
///
/// Source: `sources/002`, "Creating an Invitation".
pub(super) async fn create(
    State(gateway): State<Gateway>,
    bearer: Bearer,
    mut query: Query,
    mut body: Object,
) -> Result<impl IntoResponse, Problem> {
    let named = [query.text("organisation_id"), body.text("organisation_id")];
    let mut fields = Fields::default();
    let request = CreateInvitationRequest {
        organisation_id: the_one_named(named, &mut fields),
        email: body.text("email"),
        display_name: body.text("display_name"),
        roles: body.text("role").split_whitespace().map(str::to_owned).collect(),
        locale: body.text("locale"),
        ..Default::default()
    };
    accept([query.fields, body.fields, fields])?;

    let mut invitations = gateway.invitations(bearer.into());
    let answer = invitations.create_invitation(request).await;
    let answer = answer.map_err(|status| Problem::from(status).renaming("roles", "role"))?;
    let invitation = answer.into_inner().invitation.ok_or_else(Problem::internal)?;
    let location = format!("/api/organisation-invitations/{}", invitation.id);
    let created = Invitation::from(invitation);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(created)))
}

/// Query and body may each leave the organisation out, but must not disagree: whoever looked at one
/// of them only, to allow or to log the call, would have been misled (threat t10).
fn the_one_named(named: [String; 2], fields: &mut Fields) -> String {
    let [query, body] = named;
    if !query.is_empty() && !body.is_empty() && !query.eq_ignore_ascii_case(&body) {
        fields.reject("organisation_id", "expected the same in the query and in the body");
    }
    if body.is_empty() { query } else { body }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(query: &str, body: &str) -> (String, String) {
        let mut fields = Fields::default();
        let id = the_one_named([query.to_owned(), body.to_owned()], &mut fields);
        (id, fields.to_string())
    }

    #[test]
    fn query_and_body_name_one_organisation() {
        for (query, body, id) in [("a", "", "a"), ("", "b", "b"), ("a", "a", "a"), ("", "", "")] {
            assert_eq!(named(query, body), (id.to_owned(), String::new()), "{query:?} {body:?}");
        }
        let (_, violations) = named("a", "b");
        assert_eq!(violations, "organisation_id: expected the same in the query and in the body");
    }
}
