use api::identity::v1::{CreateServiceAccountRequest, CreateServiceAccountResponse};
use kernel::Fields;
use sea_orm::{IntoActiveModel as _, entity::prelude::*, sea_query::OnConflict};
use service::Caller;

use super::hash;
use crate::{
    Identity,
    domain::scope,
    entity::{service_account, user},
    error::Error,
};

/// Creates an account and answers its secret, once. Needs to be the platform owner.
pub(crate) async fn create(
    identity: &Identity,
    caller: &Caller,
    request: CreateServiceAccountRequest,
) -> Result<CreateServiceAccountResponse, Error> {
    let CreateServiceAccountRequest { name, scopes } = request;
    let mut fields = Fields::default();
    let name = fields.read("name", scope::parse_account_name(&name));
    let mut held = Vec::new();
    for (index, text) in scopes.iter().take(100).enumerate() {
        held.extend(fields.read(format!("scopes[{index}]"), scope::parse(text)));
    }
    let (Some(name), true) = (name, fields.violations().is_empty()) else {
        return Err(Error::Invalid(fields));
    };
    held.sort_unstable();
    held.dedup();
    authorise(identity, caller).await?;

    let secret = kernel::random_secret();
    let secret =
        secret.ok_or_else(|| Error::Internal("the machine has no random bytes".to_owned()))?;
    let account = service_account::Model {
        id: identity.clock.new_id(),
        name,
        secret_hash: hash(&secret),
        scopes: held.join(" "),
        created_at: identity.clock.now(),
    };
    let row = account.clone().into_active_model();
    let taken = OnConflict::column(service_account::Column::Name).do_nothing().to_owned();
    let insert = service_account::Entity::insert(row).on_conflict(taken);
    if insert.exec_without_returning(identity.database.read()).await? == 0 {
        return Err(Error::ServiceAccountExists);
    }
    Ok(CreateServiceAccountResponse { service_account: Some(account.into()), secret })
}

async fn authorise(identity: &Identity, caller: &Caller) -> Result<(), Error> {
    let user = user::Entity::find_by_id(caller.subject).one(identity.database.read()).await?;
    let is_owner = user.is_some_and(|user| {
        caller.is_person() && user.is_platform_owner && user.status == user::Status::Active
    });
    if is_owner { Ok(()) } else { Err(Error::ScopeMissing("platform owner")) }
}
