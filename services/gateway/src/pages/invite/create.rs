use api::organisation::v1::{CreateInvitationRequest, Invitation};
use askama::Template;
use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};

use super::{
    Stop,
    offer::{Offers, Typed},
};
use crate::{
    clients::Gateway,
    pages::{errors::Errors, form::Form, page, session::SignedIn},
    problem::Problem,
};

#[derive(Template)]
#[template(path = "invite/form.html")]
struct InviteForm {
    offers: Offers,
    typed: Typed,
    errors: Errors,
}

#[derive(Template)]
#[template(path = "invite/done.html")]
struct Done {
    organisation_id: String,
    invitation: Invitation,
}

/// `GET /invite/{organisation_id}`: the form. Whether the person may invite there shows when they
/// do: the organisation service decides.
///
/// Errors: 303 to the sign-in page for nobody; 404 for what the person may not see.
pub(super) async fn show(
    State(gateway): State<Gateway>,
    SignedIn(person): SignedIn,
    Path(organisation): Path<String>,
) -> Result<Response, Stop> {
    let offers = Offers::of(&gateway, &person, &organisation).await?;
    let request_id = gateway.clock.new_id().to_string();
    let typed = Typed { request_id, ..Typed::default() };
    Ok(page(StatusCode::OK, &InviteForm { offers, typed, errors: Errors::default() }))
}

/// `POST /invite/{organisation_id}`: invites.
///
/// Errors: 422 with the form, what was typed and a sentence for everything that is wrong; what the
/// person cannot mend is a page of its own.
pub(super) async fn create(
    State(gateway): State<Gateway>,
    SignedIn(person): SignedIn,
    Path(organisation): Path<String>,
    form: Form,
) -> Result<Response, Stop> {
    let mut typed = Typed::read(&form);
    let errors = missing(&typed);
    if !errors.is_empty() {
        let offers = Offers::of(&gateway, &person, &organisation).await?;
        return Ok(page(StatusCode::UNPROCESSABLE_ENTITY, &InviteForm { offers, typed, errors }));
    }
    let request = CreateInvitationRequest {
        organisation_id: organisation.clone(),
        email: typed.email.clone(),
        first_name: typed.first_name.clone(),
        last_name: typed.last_name.clone(),
        institution: typed.institution.clone(),
        roles: Some(typed.role.clone()).filter(|role| !role.is_empty()).into_iter().collect(),
        application_id: typed.application.clone(),
        personal_message: typed.message.clone(),
        request_id: typed.request_id.clone(),
        ..Default::default()
    };
    let refused = match gateway.invitations(person.clone()).create_invitation(request).await {
        Ok(answer) => {
            let invitation = answer.into_inner().invitation.unwrap_or_default();
            let done = Done { organisation_id: organisation, invitation };
            return Ok(page(StatusCode::CREATED, &done));
        }
        Err(status) => Problem::from(status),
    };
    let errors = mendable(&refused);
    if errors.is_empty() {
        return Err(refused.into());
    }
    let offers = Offers::of(&gateway, &person, &organisation).await?;
    // What is sent next is another request.
    typed.request_id = gateway.clock.new_id().to_string();
    Ok(page(StatusCode::UNPROCESSABLE_ENTITY, &InviteForm { offers, typed, errors }))
}

/// What is needed here: everybody has a name by which a mail can call them.
fn missing(typed: &Typed) -> Errors {
    let mut errors = Errors::default();
    for (field, text, sentence) in [
        ("email", &typed.email, "Enter the person's address."),
        ("first_name", &typed.first_name, "Enter the person's first name."),
        ("last_name", &typed.last_name, "Enter the person's last name."),
    ] {
        if text.is_empty() {
            errors.add(field, sentence);
        }
    }
    errors
}

/// What the person can mend, at the field where they can.
fn mendable(problem: &Problem) -> Errors {
    let mut errors = Errors::default();
    for wrong in &problem.errors {
        let field = match wrong.field.split('[').next().unwrap_or_default() {
            field @ ("email" | "first_name" | "last_name" | "institution") => field,
            "display_name" => "first_name",
            "roles" => "role",
            "application_id" => "application",
            "personal_message" => "message",
            _ => continue,
        };
        let expected = wrong.description.trim_start_matches("expected ");
        errors.add(field, format_args!("Enter {expected}."));
    }
    let domain = problem.metadata.get("domain").map_or("", String::as_str);
    let role = problem.metadata.get("role").map_or("", String::as_str);
    match &*problem.reason {
        "INVITATION_PENDING" => {
            errors.add("email", "This address has been invited already, and has not answered yet.");
        }
        "ALREADY_MEMBER" => errors.add("email", "This person is a member with this role already."),
        "ACCOUNT_EXISTS" => errors.add("email", "There is an account with this address already."),
        "ACCOUNT_UNUSABLE" => errors.add("email", "The account of this address cannot be used."),
        "DOMAIN_NOT_ALLOWED" => {
            errors.add("email", format_args!("Addresses of {domain} are not invited here."));
        }
        "TOO_MANY_INVITATIONS" => {
            errors.add("email", "There were too many invitations. Try again later.");
        }
        "GRANT_CEILING_EXCEEDED" => {
            errors.add("role", format_args!("You cannot offer {role}: it may more than you."));
        }
        "APPLICATION_WITHOUT_REDIRECT" => {
            errors.add("application", "This application does not say where it takes people.");
        }
        _ => {}
    }
    errors
}
