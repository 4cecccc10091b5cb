use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use api::{
    identity::v1::{
        IssueServiceTokenRequest, service_account_service_client::ServiceAccountServiceClient,
    },
    organisation::v1::{
        CheckPermissionRequest, permission_service_client::PermissionServiceClient,
    },
};
use http::Response;
use http_body_util::BodyExt as _;
use kernel::{Clock, Time, Uuid};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};
use tonic::{
    Code, Request, Status,
    body::Body,
    metadata::MetadataValue,
    service::{Interceptor, interceptor::InterceptedService},
    transport::{self, Channel, Endpoint},
};
use tower::util::{MapErr, MapResponse};

use crate::{Caller, Settings, deadline, telemetry};

/// A connection to another service, the same embedded and in production. What it sends carries the
/// trace, the deadline and the authorisation; where it breaks, `UNAVAILABLE` is answered.
pub type Peer = MapErr<
    InterceptedService<MapResponse<Channel, fn(Response<Body>) -> Response<Body>>, Outgoing>,
    fn(transport::Error) -> Status,
>;

/// The other services, and this service's own account.
#[derive(Clone)]
pub struct Peers {
    identity: Channel,
    organisation: Channel,
    notification: Channel,
    account: Arc<Account>,
}

struct Account {
    name: &'static str,
    secret: SecretString,
    clock: Clock,
    token: Mutex<Option<Token>>,
    /// Whose turn it is to ask for a token.
    renewing: Arc<Turn<()>>,
}

#[derive(Clone)]
struct Token {
    auth: Auth,
    /// Until four fifths of its life; it is renewed afterwards.
    fresh_until: Time,
    /// Nearly until its end, for a call in its name takes a moment.
    good_until: Time,
}

impl Account {
    fn token(&self) -> Option<Token> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// In whose name a call is made.
#[derive(Clone, Debug)]
pub enum Auth {
    /// Nobody's.
    Anonymous,
    /// That of the token's owner.
    Bearer(Arc<str>),
}

impl Peers {
    /// Peers at the configured addresses, connected on first use; `name` and `secret` are those of
    /// this service's account.
    pub(crate) fn new(
        settings: &Settings,
        clock: Clock,
        name: &'static str,
        secret: SecretString,
    ) -> anyhow::Result<Self> {
        let (token, renewing) = (Mutex::default(), Arc::default());
        let account = Arc::new(Account { name, secret, clock, token, renewing });
        Ok(Self {
            identity: channel(&settings.identity_url)?,
            organisation: channel(&settings.organisation_url)?,
            notification: channel(&settings.notification_url)?,
            account,
        })
    }

    /// The identity service.
    pub fn identity(&self, auth: Auth) -> Peer {
        peer(&self.identity, auth)
    }

    /// The organisation service.
    pub fn organisation(&self, auth: Auth) -> Peer {
        peer(&self.organisation, auth)
    }

    /// The notification service.
    pub fn notification(&self, auth: Auth) -> Peer {
        peer(&self.notification, auth)
    }

    /// Whether a caller holds a right at an organisation, or (the nil UUID) at the platform: a service
    /// account by the scope of its name, anybody else if the organisation service, asked in the
    /// caller's own name, says so. It is a call, so no transaction may be open.
    pub async fn allow(
        &self,
        caller: &Caller,
        organisation: Uuid,
        right: &str,
    ) -> Result<bool, Status> {
        if caller.has_scope(right) {
            return Ok(true);
        }
        let request = CheckPermissionRequest {
            subject_id: String::new(),
            organisation_id: organisation.to_string(),
            permission: right.to_owned(),
        };
        let mut client = PermissionServiceClient::new(self.organisation(caller.auth()));
        Ok(client.check_permission(request).await?.into_inner().allowed)
    }

    /// The right to call in this service's own name; its token is kept for most of its life. While that
    /// is good nobody waits for the next; without one, this takes at most 10 s.
    pub async fn own(&self) -> Result<Auth, Status> {
        let account = &self.account;
        let now = account.clock.now();
        match account.token() {
            Some(token) if now < token.fresh_until => Ok(token.auth),
            Some(token) if now < token.good_until => {
                if let Ok(turn) = account.renewing.clone().try_lock_owned() {
                    let peers = self.clone();
                    tokio::spawn(async move {
                        if let Err(status) = peers.renew(turn).await {
                            tracing::warn!(code = ?status.code(), "the own token is not renewed");
                        }
                    });
                }
                Ok(token.auth)
            }
            _ => {
                let renewing = async {
                    let (peers, turn) = (self.clone(), account.renewing.clone().lock_owned().await);
                    // It goes on when the time of who asked is over: the next finds the token.
                    tokio::spawn(async move { peers.renew(turn).await }).await
                };
                // The deadline is that of the wait as well: if the identity service hangs, those who
                // wait for it do not do so one behind another.
                let late = || Err(Status::unavailable("there is no token of one's own yet"));
                let renewed = deadline::within(PATIENCE, renewing).await.and_then(Result::ok);
                renewed.unwrap_or_else(late)
            }
        }
    }

    /// Asks for a token, unless whoever had the `_turn` before has got one.
    async fn renew(&self, _turn: OwnedMutexGuard<()>) -> Result<Auth, Status> {
        let account = &self.account;
        let now = account.clock.now();
        if let Some(token) = account.token()
            && now < token.fresh_until
        {
            return Ok(token.auth);
        }
        let mut client = ServiceAccountServiceClient::new(self.identity(Auth::Anonymous));
        let request = IssueServiceTokenRequest {
            name: account.name.to_owned(),
            secret: account.secret.expose_secret().to_owned(),
        };
        let answer = client.issue_service_token(request).await?.into_inner();
        let life = kernel::Duration::seconds(answer.expires_in.map_or(0, |life| life.seconds));
        let auth = Auth::Bearer(answer.access_token.into());
        let (fresh_until, good_until) = (now + life * 4 / 5, now + life * 19 / 20);
        let token = Token { auth: auth.clone(), fresh_until, good_until };
        *account.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
        Ok(auth)
    }
}

fn peer(channel: &Channel, auth: Auth) -> Peer {
    let read: fn(Response<Body>) -> Response<Body> = |answer| {
        // What the peer says itself comes in trailers, and is no error of the body.
        answer.map(|body| Body::new(body.map_err(broken)))
    };
    let channel = MapResponse::new(channel.clone(), read);
    MapErr::new(InterceptedService::new(channel, Outgoing(auth)), |error| {
        broken(Status::from_error(Box::new(error)))
    })
}

/// What became of a call whose connection broke, before or within the answer. tonic says `UNKNOWN` where
/// a peer goes away in the middle of it, which to a caller would be a fault of ours; it is no other than
/// when the peer was away before, and the same request may be repeated.
fn broken(status: Status) -> Status {
    match status.code() {
        Code::Unknown => Status::unavailable("the connection broke"),
        _ => status,
    }
}

fn channel(url: &str) -> anyhow::Result<Channel> {
    let endpoint = Endpoint::from_shared(url.to_owned())?
        .connect_timeout(Duration::from_secs(2))
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(5))
        .tcp_nodelay(true);
    Ok(endpoint.connect_lazy())
}

/// Adds trace, deadline and authorisation to each call.
#[derive(Clone)]
pub struct Outgoing(Auth);

/// What a call may take that is not part of another.
const PATIENCE: Duration = Duration::from_secs(10);
/// What one call may take at most: as much as the longest that a service may be set to answer in.
const LONGEST: Duration = Duration::from_secs(60);

impl Interceptor for Outgoing {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let left = deadline::remaining().map_or(PATIENCE, |left| left.min(LONGEST));
        if left.is_zero() {
            return Err(Status::deadline_exceeded("no time is left for this call"));
        }
        request.set_timeout(left);
        let metadata = request.metadata_mut();
        if let Some(traceparent) = telemetry::current_traceparent()
            && let Ok(value) = MetadataValue::try_from(traceparent)
        {
            metadata.insert("traceparent", value);
        }
        if let Auth::Bearer(token) = &self.0
            && let Ok(mut value) = MetadataValue::try_from(format!("Bearer {token}"))
        {
            value.set_sensitive(true);
            metadata.insert("authorization", value);
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        time::Instant,
    };

    use super::*;

    /// SETTINGS, and the HEADERS of an answer to the first call: `:status: 200` and a literal
    /// `content-type: application/grpc` (RFC 9113, section 6; RFC 7541).
    const BEGUN: &[u8] = b"\0\0\0\x04\0\0\0\0\0\
        \0\0\x14\x01\x04\0\0\0\x01\x88\x0f\x10\x10application/grpc";

    /// Peers whose identity service takes connections and says nothing.
    async fn silent() -> (Peers, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let account = Account {
            name: "test",
            secret: "secret".into(),
            clock: Clock::System,
            token: Mutex::default(),
            renewing: Arc::default(),
        };
        let silent = channel(&url).expect("an address");
        let (organisation, notification) = (silent.clone(), silent.clone());
        let account = Arc::new(account);
        (Peers { identity: silent, organisation, notification, account }, listener)
    }

    #[tokio::test(start_paused = true)]
    async fn while_a_token_is_good_nobody_waits_for_the_next() {
        let (peers, _listener) = silent().await;
        let (now, minute) = (Clock::System.now(), kernel::Duration::minutes(1));
        let (auth, begun) = (Auth::Bearer("old".into()), Instant::now());
        let token = Token { auth, fresh_until: now - minute, good_until: now + minute };
        *peers.account.token.lock().unwrap() = Some(token);
        for _ in 0..9 {
            let Ok(Auth::Bearer(token)) = peers.own().await else { panic!("it is good") };
            assert_eq!(&*token, "old");
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert!(peers.account.renewing.try_lock().is_err(), "somebody renews it");
    }

    #[tokio::test(start_paused = true)]
    async fn when_the_identity_service_hangs_nobody_waits_behind_another() {
        let (peers, _listener) = silent().await;
        let begun = Instant::now();
        let answers = futures::future::join_all((0..20).map(|_| peers.own())).await;
        assert!(answers.iter().all(Result::is_err));
        assert!(begun.elapsed() < PATIENCE * 2, "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_asked_for_to_the_end_although_who_asked_has_no_more_time() {
        let (peers, _listener) = silent().await;
        let answer = deadline::within(PATIENCE / 2, peers.own()).await;
        assert!(!matches!(answer, Some(Ok(_))), "{answer:?}");
        assert!(peers.account.renewing.try_lock().is_err(), "somebody goes on");
    }

    #[tokio::test]
    async fn a_peer_that_goes_away_in_the_middle_of_a_call_is_unavailable() {
        for answer in [&[][..], BEGUN] {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("its address");
            tokio::spawn(async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    // The preface and the first frames; then the process is killed.
                    let _ = stream.read(&mut [0; 1_024]).await;
                    let _ = stream.write_all(answer).await;
                    let _ = stream.shutdown().await;
                }
            });
            let channel = channel(&format!("http://{address}")).expect("an address");
            let mut client = PermissionServiceClient::new(peer(&channel, Auth::Anonymous));
            let answer = client.check_permission(CheckPermissionRequest::default()).await;
            assert_eq!(answer.expect_err("nobody answers").code(), Code::Unavailable);
        }
    }
}
