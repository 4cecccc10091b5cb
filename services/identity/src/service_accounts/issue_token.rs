use api::identity::v1::{IssueServiceTokenRequest, IssueServiceTokenResponse};
use service::{Claims, LIFETIME_SECONDS};

use super::hash;
use crate::{Identity, domain::scope, entity::service_account, error::Error};

/// Trades a service account's name and secret for an access token. An unknown name and a wrong
/// secret answer alike.
pub(crate) async fn issue_token(
    identity: &Identity,
    request: IssueServiceTokenRequest,
) -> Result<IssueServiceTokenResponse, Error> {
    let IssueServiceTokenRequest { name, secret } = request;
    let name = scope::parse_account_name(&name).map_err(|_| Error::CredentialsInvalid)?;
    let account = service_account::of_name(&name).one(identity.database.read()).await?;
    // Hashes of 256 random bits are compared: what their timing tells is of no use.
    let account = account.filter(|account| account.secret_hash == hash(&secret));
    let account = account.ok_or(Error::CredentialsInvalid)?;
    let jti = identity.clock.new_id();
    let claims = Claims::service(account.id, account.name, account.scopes, jti);
    let access_token = identity.signer.sign(claims, identity.clock.now());
    Ok(IssueServiceTokenResponse {
        access_token: access_token.map_err(|error| Error::Internal(error.to_string()))?,
        expires_in: Some(prost_types::Duration { seconds: LIFETIME_SECONDS, nanos: 0 }),
    })
}
