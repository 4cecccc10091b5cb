use api::identity::v1::{GetServiceAccountRequest, GetServiceAccountResponse};
use kernel::{Fields, parse_id};
use sea_orm::EntityTrait as _;
use service::Caller;

use crate::{Identity, entity::service_account, error::Error};

/// One service account by id, without its secret. Needs the scope `users.read`: whoever may learn
/// who a person is may learn which program a caller is.
pub(crate) async fn get(
    identity: &Identity,
    caller: &Caller,
    request: GetServiceAccountRequest,
) -> Result<GetServiceAccountResponse, Error> {
    let GetServiceAccountRequest { id } = request;
    let mut fields = Fields::default();
    let Some(id) = fields.read("id", parse_id(&id)) else {
        return Err(Error::Invalid(fields));
    };
    if !caller.has_scope("users.read") {
        return Err(Error::ScopeMissing("users.read"));
    }
    let account = service_account::Entity::find_by_id(id).one(identity.database.read()).await?;
    let account = account.ok_or(Error::ServiceAccountNotFound)?;
    Ok(GetServiceAccountResponse { service_account: Some(account.into()) })
}

#[cfg(test)]
mod tests {
    use testkit::Bench;
    use tonic::Code;

    use super::*;
    use crate::testing::{Stage, reason};

    testkit::on_both_databases!(
        an_account_is_found_by_id_with_its_scopes,
        strangers_and_unknown_accounts_are_refused,
    );

    async fn an_account_is_found_by_id_with_its_scopes(bench: Bench) {
        let stage = Stage::set(bench).await;
        let mailer = service_account::of_name("mailer").one(stage.database.read()).await.unwrap();
        let mailer = mailer.unwrap();
        let request = GetServiceAccountRequest { id: mailer.id.to_string() };
        let mut reader = stage.account("users.read").service_accounts();
        let answer = reader.get_service_account(request).await.unwrap().into_inner();
        let account = answer.service_account.unwrap();
        assert_eq!((account.id, account.name), (mailer.id.to_string(), "mailer".to_owned()));
        assert_eq!(
            account.scopes,
            ["invitations.mail", "access_requests.mail", "users.read", "deliveries.write"],
        );
        assert_eq!(account.created_at, Some(api::timestamp(mailer.created_at)));
    }

    async fn strangers_and_unknown_accounts_are_refused(bench: Bench) {
        let stage = Stage::set(bench).await;
        let nothing = GetServiceAccountRequest { id: stage.new_id().to_string() };
        let malformed = GetServiceAccountRequest { id: "7".to_owned() };
        for caller in [stage.account("users.invite"), stage.person()] {
            let answer = caller.service_accounts().get_service_account(nothing.clone()).await;
            assert_eq!(reason(answer), "SCOPE_MISSING");
        }
        let mut reader = stage.account("users.read").service_accounts();
        let answer = reader.get_service_account(nothing).await;
        assert_eq!(reason(answer), "SERVICE_ACCOUNT_NOT_FOUND");
        let refused = reader.get_service_account(malformed).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
}
