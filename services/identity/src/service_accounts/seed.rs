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

#[cfg(test)]
mod tests {
    use sea_orm::sea_query::Expr;
    use testkit::Bench;

    use super::*;
    use crate::testing::Stage;

    testkit::on_both_databases!(a_later_version_gives_an_existing_account_its_new_scopes);

    async fn a_later_version_gives_an_existing_account_its_new_scopes(bench: Bench) {
        let stage = Stage::set(bench).await;
        let (database, mailer) = (&stage.database, service_account::of_name("mailer"));
        service_account::Entity::update_many()
            .col_expr(service_account::Column::Scopes, Expr::value("invitations.mail users.read"))
            .filter(service_account::Column::Name.eq("mailer"))
            .exec(database.read())
            .await
            .unwrap();
        let before = mailer.clone().one(database.read()).await.unwrap().unwrap();
        stage.start_again().await;
        let after = mailer.one(database.read()).await.unwrap().unwrap();
        assert_eq!(before.scopes, "invitations.mail users.read");
        let scopes = scope::built_in("mailer").unwrap().join(" ");
        assert!(scopes.contains("access_requests.mail"));
        assert_eq!(after, service_account::Model { scopes, ..before });
    }
}
