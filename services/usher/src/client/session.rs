use std::time::{Duration, Instant};

use anyhow::Context as _;
use api::identity::v1::{
    CreateSessionRequest, IssueServiceTokenRequest, RefreshSessionRequest,
    RevokeCurrentSessionRequest, SessionTokens,
    service_account_service_client::ServiceAccountServiceClient,
    session_service_client::SessionServiceClient,
};
use secrecy::{ExposeSecret as _, SecretString};
use tonic::{
    Request, Status,
    metadata::AsciiMetadataValue,
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, ClientTlsConfig, Endpoint},
};

use super::{Options, UsageError, credentials::Credentials, refusal::told};

/// A connection in the caller's name.
pub(super) type Connection = InterceptedService<Channel, Bearer>;

/// The services, in somebody's name.
pub(super) struct Session {
    identity: Channel,
    organisation: Channel,
    notification: Channel,
    credentials: Credentials,
    tokens: Option<Tokens>,
}

struct Tokens {
    bearer: Bearer,
    /// When it is not used any more; a token that somebody else has got may always be.
    until: Option<Instant>,
    /// What gets the next one, in a person's session.
    refresh: Option<SecretString>,
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
        Self::new([&options.identity, &options.server, &options.notification], credentials)
    }

    /// At the addresses of identity, organisation and notification.
    pub(super) fn new(urls: [&str; 3], credentials: Credentials) -> anyhow::Result<Self> {
        let [identity, organisation, notification] = urls;
        Ok(Self {
            identity: channel(identity)?,
            organisation: channel(organisation)?,
            notification: channel(notification)?,
            credentials,
            tokens: None,
        })
    }

    /// The organisation service; signs in if that is due: at first, and anew when less than a minute of
    /// the token is left.
    pub(super) async fn organisation(&mut self) -> anyhow::Result<Connection> {
        let bearer = self.bearer().await?;
        Ok(InterceptedService::new(self.organisation.clone(), bearer))
    }

    /// The notification service, likewise.
    pub(super) async fn notification(&mut self) -> anyhow::Result<Connection> {
        let bearer = self.bearer().await?;
        Ok(InterceptedService::new(self.notification.clone(), bearer))
    }

    /// Every service that has an outbox, likewise, with its name.
    pub(super) async fn all(&mut self) -> anyhow::Result<[(&'static str, Connection); 3]> {
        let bearer = self.bearer().await?;
        let channels = [
            ("identity", &self.identity),
            ("organisation", &self.organisation),
            ("notification", &self.notification),
        ];
        Ok(channels.map(|(name, channel)| {
            (name, InterceptedService::new(channel.clone(), bearer.clone()))
        }))
    }

    /// Whether there is another token where one has run out; the next connection has it.
    pub(super) fn renews(&mut self) -> bool {
        if let Some(tokens) = &mut self.tokens {
            tokens.until = tokens.until.map(|_| Instant::now());
        }
        !matches!(self.credentials, Credentials::Token(_))
    }

    async fn bearer(&mut self) -> anyhow::Result<Bearer> {
        let tokens = match self.tokens.take() {
            Some(held) if held.until.is_none_or(|until| Instant::now() < until) => held,
            Some(Tokens { refresh: Some(refresh), .. }) => self.refresh(&refresh).await?,
            _ => self.sign_in().await?,
        };
        let bearer = tokens.bearer.clone();
        self.tokens = Some(tokens);
        Ok(bearer)
    }

    async fn refresh(&self, refresh: &SecretString) -> anyhow::Result<Tokens> {
        let request = RefreshSessionRequest { refresh_token: refresh.expose_secret().to_owned() };
        let mut client = SessionServiceClient::new(self.identity.clone());
        let answer = client.refresh_session(request).await.map_err(|it| told(&it))?;
        Tokens::of_session(answer.into_inner().tokens)
    }

    async fn sign_in(&self) -> anyhow::Result<Tokens> {
        match &self.credentials {
            Credentials::Token(token) => {
                Ok(Tokens { bearer: Bearer::of(token)?, until: None, refresh: None })
            }
            Credentials::Person { email, password } => {
                let request = CreateSessionRequest {
                    email: email.clone(),
                    password: password.expose_secret().to_owned(),
                };
                let mut client = SessionServiceClient::new(self.identity.clone());
                let answer = client.create_session(request).await.map_err(|it| told(&it))?;
                Tokens::of_session(answer.into_inner().tokens)
            }
            Credentials::Account { name, secret } => {
                let request = IssueServiceTokenRequest {
                    name: name.clone(),
                    secret: secret.expose_secret().to_owned(),
                };
                let mut client = ServiceAccountServiceClient::new(self.identity.clone());
                let answer = client.issue_service_token(request).await.map_err(|it| told(&it))?;
                let answer = answer.into_inner();
                Tokens::new(answer.access_token, answer.expires_in, None)
            }
        }
    }

    /// Leaves no session behind where the command made one; that it could not is no failure of what
    /// was asked for.
    pub(super) async fn sign_out(&mut self) {
        let is_person = matches!(self.credentials, Credentials::Person { .. });
        if !is_person || self.tokens.is_none() {
            return;
        }
        if let Ok(bearer) = self.bearer().await {
            let identity = InterceptedService::new(self.identity.clone(), bearer);
            let mut client = SessionServiceClient::new(identity);
            let _ = client.revoke_current_session(RevokeCurrentSessionRequest {}).await;
        }
        self.tokens = None;
    }
}

impl Tokens {
    fn new(
        access: String,
        life: Option<prost_types::Duration>,
        refresh: Option<SecretString>,
    ) -> anyhow::Result<Self> {
        let seconds = life.map_or(0, |life| u64::try_from(life.seconds).unwrap_or_default());
        let until = Instant::now() + Duration::from_secs(seconds).saturating_sub(MARGIN);
        Ok(Self { bearer: Bearer::of(&access.into())?, until: Some(until), refresh })
    }

    fn of_session(tokens: Option<SessionTokens>) -> anyhow::Result<Self> {
        let SessionTokens { access_token, expires_in, refresh_token } =
            tokens.context("there are no tokens")?;
        Self::new(access_token, expires_in, Some(refresh_token.into()))
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
    let wrong = || UsageError::told(format!("{url}: expected http://HOST:PORT or https://HOST"));
    let is_encrypted = url.starts_with("https://");
    if !is_encrypted && !url.starts_with("http://") {
        return Err(wrong());
    }
    let mut endpoint = Endpoint::from_shared(url.to_owned()).map_err(|_| wrong())?;
    if is_encrypted {
        // The machine's own certificates, or those of SSL_CERT_FILE.
        endpoint = endpoint.tls_config(ClientTlsConfig::new().with_native_roots())?;
    }
    let endpoint = endpoint
        .connect_timeout(Duration::from_secs(5))
        .timeout(Duration::from_secs(30))
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10));
    Ok(endpoint.connect_lazy())
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncReadExt as _, net::TcpListener};

    use super::*;

    /// A TLS handshake begins with 22, HTTP/2 with its first letter.
    #[tokio::test]
    async fn what_is_asked_over_https_is_encrypted() {
        for (scheme, expected) in [("https", 22), ("http", b'P')] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("{scheme}://{}", listener.local_addr().unwrap());
            let password = "a brass difference engine".into();
            let person = Credentials::Person { email: "ada@example.com".into(), password };
            let mut session = Session::new([&url; 3], person).unwrap();
            let asked = tokio::spawn(async move { session.organisation().await.map(|_| ()) });
            let (mut stream, _) = listener.accept().await.unwrap();
            assert_eq!(stream.read_u8().await.unwrap(), expected, "{scheme}");
            drop(stream);
            asked.abort();
        }
    }

    #[tokio::test]
    async fn another_scheme_is_refused_with_what_is_expected() {
        let token = || Credentials::Token("t".to_owned().into());
        let refused = Session::new(["organisation:50052"; 3], token()).err();
        let told = "organisation:50052: expected http://HOST:PORT or https://HOST";
        assert_eq!(refused.unwrap().to_string(), told);
    }
}
