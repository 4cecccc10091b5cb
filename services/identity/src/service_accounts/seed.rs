use sea_orm::{ActiveValue::Set, entity::prelude::*, sea_query::OnConflict};
use secrecy::{ExposeSecret as _, SecretString};

use super::hash;
use crate::{Identity, domain::scope, entity::service_account};

/// Creates the services' own accounts, or sets their secrets and scopes anew: the settings decide.
pub(crate) async fn seed(
    identity: &Identity,
    secrets: &[(String, SecretString)],
) -> anyhow::Result<()> {
    for (name, secret) in secrets {
        let Some(scopes) = scope::built_in(name) else {
            anyhow::bail!(
                "USHER_SERVICE_SECRETS names {name}; \
                 expected organisation, notification, mailer or gateway"
            );
        };
        let row = service_account::ActiveModel {
            id: Set(identity.clock.new_id()),
            name: Set(name.clone()),
            secret_hash: Set(hash(secret.expose_secret())),
            scopes: Set(scopes.join(" ")),
            created_at: Set(identity.clock.now()),
        };
        let anew = OnConflict::column(service_account::Column::Name)
            .update_columns([service_account::Column::SecretHash, service_account::Column::Scopes])
            .to_owned();
        service_account::Entity::insert(row)
            .on_conflict(anew)
            .exec_without_returning(identity.database.read())
            .await?;
    }
    Ok(())
}
