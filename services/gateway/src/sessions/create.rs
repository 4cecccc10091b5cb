use api::identity::v1::CreateSessionRequest;
use axum::{Json, extract::State, http::StatusCode};
use service::Auth;

use super::Tokens;
use crate::{
    clients::Gateway,
    input::{Object, accept},
    openapi::{Field, Operation},
    problem::Problem,
};

/// `POST /api/sessions {"email", "password"}` → 201: signs in.
///
/// Errors: 401 `CREDENTIALS_INVALID`, 429 `TOO_MANY_ATTEMPTS` with `Retry-After`.
pub(super) async fn create(
    State(gateway): State<Gateway>,
    mut body: Object,
) -> Result<(StatusCode, Json<Tokens>), Problem> {
    let request =
        CreateSessionRequest { email: body.text("email"), password: body.text("password") };
    accept([body.fields])?;
    let answer = gateway.sessions(Auth::Anonymous).create_session(request).await?.into_inner();
    let tokens = answer.tokens.ok_or_else(Problem::internal)?;
    Ok((StatusCode::CREATED, Json(tokens.into())))
}

pub(super) fn about() -> Operation {
    Operation::new("Sign in", 201)
        .for_everybody()
        .body([
            Field::text("email", "Who.").required(),
            Field::text("password", "Theirs.").required(),
        ])
        .answers::<Tokens>()
        .refuses(401, &["CREDENTIALS_INVALID"])
        .refuses(429, &["TOO_MANY_ATTEMPTS"])
}
