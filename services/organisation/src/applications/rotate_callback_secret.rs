use api::organisation::v1::{RotateCallbackSecretRequest, RotateCallbackSecretResponse};
use kernel::{Fields, parse_id};
use sea_orm::{ExprTrait as _, entity::prelude::*, sea_query::Expr};

use super::managed;
use crate::{
    Organisations,
    call::Call,
    change::Record,
    entity::application::{self, Column},
    error::Error,
};

/// Makes a new callback secret; the one before no longer signs. It is answered once: it is not
/// stored, and a repetition of the request comes without it.
///
/// Needs `applications.manage` at its organisation.
pub(crate) async fn rotate_callback_secret(
    service: &Organisations,
    call: &Call,
    request: RotateCallbackSecretRequest,
) -> Result<RotateCallbackSecretResponse, Error> {
    let RotateCallbackSecretRequest { id, request_id: _ } = request;
    let mut fields = Fields::default();
    let Some(id) = fields.read("id", parse_id(&id)) else {
        return Err(Error::Invalid(fields));
    };

    let change = service.begin(call).await?;
    let found = managed(&change, call, id).await?;
    application::Entity::update_many()
        .col_expr(Column::SecretGeneration, Expr::col(Column::SecretGeneration).add(1))
        .col_expr(Column::Version, Expr::col(Column::Version).add(1))
        .col_expr(Column::UpdatedAt, Expr::value(change.now))
        .filter(Column::Id.eq(id))
        .exec(&*change)
        .await?;
    let rotated = application::Entity::find_by_id(id).one(&*change).await?;
    let rotated = rotated.ok_or(Error::ApplicationNotFound)?;
    change.record(Record::of("application", id, found.organisation_id)).await?;
    // What a repetition is answered is stored; a secret is not.
    change.commit(RotateCallbackSecretResponse { callback_secret: String::new() }).await?;
    let callback_secret = rotated.callback_secret(&service.callback_key);
    Ok(RotateCallbackSecretResponse { callback_secret })
}
