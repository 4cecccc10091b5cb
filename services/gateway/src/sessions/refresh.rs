use api::identity::v1::RefreshSessionRequest;
use axum::{Json, extract::State};
use service::Auth;

use super::Tokens;
use crate::{
    clients::Gateway,
    input::{Object, accept},
    openapi::{Field, Operation},
    problem::Problem,
};

/// `POST /api/sessions/refresh {"refresh_token"}` → 200: new tokens for one that was not used yet.
///
/// Errors: 401 `REFRESH_TOKEN_INVALID` or `REFRESH_TOKEN_REUSED`.
pub(super) async fn refresh(
    State(gateway): State<Gateway>,
    mut body: Object,
) -> Result<Json<Tokens>, Problem> {
    let request = RefreshSessionRequest { refresh_token: body.text("refresh_token") };
    accept([body.fields])?;
    let answer = gateway.sessions(Auth::Anonymous).refresh_session(request).await?.into_inner();
    let tokens = answer.tokens.ok_or_else(Problem::internal)?;
    Ok(Json(tokens.into()))
}

pub(super) fn about() -> Operation {
    Operation::new("Trade a refresh token for new tokens", 200)
        .for_everybody()
        .body([Field::text("refresh_token", "It is good once.").required()])
        .answers::<Tokens>()
        .refuses(401, &["REFRESH_TOKEN_INVALID", "REFRESH_TOKEN_REUSED"])
}
