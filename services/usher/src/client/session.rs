use std::time::{Duration, Instant};

use anyhow::Context as _;
use api::identity::v1::{
    CreateSessionRequest, IssueServiceTokenRequest, RevokeCurrentSessionRequest,
    service_account_service_client::ServiceAccountServiceClient,
    session_service_client::SessionServiceClient,
};
use secrecy::{ExposeSecret as _, SecretString};
use tonic::{
    Request, Status,
    metadata::AsciiMetadataValue,
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

use super::{Options, UsageError, credentials::Credentials, refusal::told};

/// A connection in the caller's name.
pub(super) type Connection = InterceptedService<Channel, Bearer>;

/// The services, in somebody's name.
pub(super) struct Session {
    identity: Channel,
    organisation: Channel,
    credentials: Credentials,
    bearer: Option<(Bearer, Option<Instant>)>,
}

/// Adds the token to each call.
#[derive(Clone)]
pub(super) struct Bearer(AsciiMetadataValue);

/// A token with less time left than this is not used any more.
const MARGIN: Duration = Duration::from_secs(60);

impl Session {
    /// What the options and the environment name; nobody is asked yet.
    pub(super) fn of(options: &Options) -> anyhow::Result<Self> {
        let variable = |name: &str| std::env::var(name).ok();
        let credentials =
            Credentials::of(options, variable, |text| rpassword::prompt_password(text))?;
        Self::new(&options.identity, &options.server, credentials)
    }

    pub(super) fn new(
        identity: &str,
        organisation: &str,
        credentials: Credentials,
    ) -> anyhow::Result<Self> {
        let (identity, organisation) = (channel(identity)?, channel(organisation)?);
        Ok(Self { identity, organisation, credentials, bearer: None })
    }

    /// The organisation service; signs in if that is due: at first, and anew when less than a minute of
    /// the token is left.
    pub(super) async fn organisation(&mut self) -> anyhow::Result<Connection> {
        let bearer = match &self.bearer {
            Some((bearer, until)) if until.is_none_or(|until| Instant::now() < until) => {
                bearer.clone()
            }
            _ => {
                self.sign_out().await;
                let (bearer, until) = self.sign_in().await?;
                self.bearer = Some((bearer.clone(), until));
                bearer
            }
        };
        Ok(InterceptedService::new(self.organisation.clone(), bearer))
    }

    async fn sign_in(&self) -> anyhow::Result<(Bearer, Option<Instant>)> {
        let (token, life) = match &self.credentials {
            Credentials::Token(token) => return Ok((Bearer::of(token)?, None)),
            Credentials::Person { email, password } => {
                let request = CreateSessionRequest {
                    email: email.clone(),
                    password: password.expose_secret().to_owned(),
                };
                let mut client = SessionServiceClient::new(self.identity.clone());
                let answer = client.create_session(request).await.map_err(|it| told(&it))?;
                let tokens = answer.into_inner().tokens.context("there are no tokens")?;
                (tokens.access_token, tokens.expires_in)
            }
            Credentials::Account { name, secret } => {
                let request = IssueServiceTokenRequest {
                    name: name.clone(),
                    secret: secret.expose_secret().to_owned(),
                };
                let mut client = ServiceAccountServiceClient::new(self.identity.clone());
                let answer = client.issue_service_token(request).await.map_err(|it| told(&it))?;
                let answer = answer.into_inner();
                (answer.access_token, answer.expires_in)
            }
        };
        let seconds = life.map_or(0, |life| u64::try_from(life.seconds).unwrap_or_default());
        let until = Instant::now() + Duration::from_secs(seconds).saturating_sub(MARGIN);
        Ok((Bearer::of(&token.into())?, Some(until)))
    }

    /// Leaves no session behind where the command made one; that it could not is no failure of what
    /// was asked for.
    pub(super) async fn sign_out(&mut self) {
        let is_person = matches!(self.credentials, Credentials::Person { .. });
        if let Some((bearer, _)) = self.bearer.take().filter(|_| is_person) {
            let identity = InterceptedService::new(self.identity.clone(), bearer);
            let mut client = SessionServiceClient::new(identity);
            let _ = client.revoke_current_session(RevokeCurrentSessionRequest {}).await;
        }
    }
}

impl Bearer {
    fn of(token: &SecretString) -> anyhow::Result<Self> {
        let value = format!("Bearer {}", token.expose_secret().trim());
        let mut value: AsciiMetadataValue =
            value.parse().map_err(|_| UsageError::told("USHER_TOKEN is no token"))?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// Connected on first use. The time is that until an answer begins: what is streamed may take longer.
fn channel(url: &str) -> anyhow::Result<Channel> {
    let wrong = || UsageError::told(format!("{url}: expected http://HOST:PORT"));
    if !url.starts_with("http://") {
        return Err(wrong());
    }
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|_| wrong())?;
    let endpoint = endpoint
        .connect_timeout(Duration::from_secs(5))
        .timeout(Duration::from_secs(30))
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10));
    Ok(endpoint.connect_lazy())
}
