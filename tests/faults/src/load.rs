//! A client that invites at a steady rate, and its ledger.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use api::organisation::v1::{
    CreateInvitationRequest, invitation_service_client::InvitationServiceClient,
};
use kernel::Clock;
use testkit::with_token;
use tokio::{
    task::{JoinHandle, JoinSet},
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tonic::{Code, transport::Channel};

/// Where and as whom to invite.
#[derive(Clone)]
pub struct Inviter {
    /// The organisation service.
    pub channel: Channel,
    /// An access token.
    pub token: String,
    /// Into which organisation.
    pub organisation: String,
}

/// What became of each invitation, by address: its identifier once it is acknowledged.
#[derive(Clone, Default)]
pub struct Ledger(Arc<Mutex<BTreeMap<String, Option<String>>>>);

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Option<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many were tried.
    pub fn attempted(&self) -> usize {
        self.lock().len()
    }

    /// The addresses of those that were acknowledged, and their invitations.
    pub fn acknowledged(&self) -> BTreeMap<String, String> {
        let ledger = self.lock();
        ledger.iter().filter_map(|(email, id)| Some((email.clone(), id.clone()?))).collect()
    }
}

/// A load that goes on until it is stopped.
pub struct Load {
    ledger: Ledger,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

/// How often a call is repeated that was not answered, under the same request id.
const TRIES: u32 = 20;

impl Load {
    /// Invites somebody new so many times a second, into a ledger.
    pub fn start(inviter: Inviter, per_second: u32, domain: &str) -> Self {
        let (ledger, stop) = (Ledger::default(), CancellationToken::new());
        let (kept, stopped, domain) = (ledger.clone(), stop.clone(), domain.to_owned());
        let running = tokio::spawn(async move {
            let mut tick = interval(Duration::from_secs(1) / per_second);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut calls = JoinSet::new();
            while !stopped.is_cancelled() {
                tick.tick().await;
                while calls.try_join_next().is_some() {}
                calls.spawn(invite(inviter.clone(), kept.clone(), domain.clone()));
            }
            calls.join_all().await;
        });
        Self { ledger, stop, running }
    }

    /// The ledger so far.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Stops, and waits for the answers that are missing.
    pub async fn finish(self) -> Ledger {
        self.stop.cancel();
        self.running.await.expect("the load ends");
        self.ledger
    }
}

/// Invites one person; a call that is not answered is repeated, as a client would.
pub async fn invite(inviter: Inviter, ledger: Ledger, domain: String) {
    let Inviter { channel, token, organisation } = inviter;
    let id = Clock::System.new_id();
    let request = CreateInvitationRequest {
        organisation_id: organisation,
        email: format!("p{}@{domain}", id.simple()),
        roles: vec!["user".to_owned()],
        request_id: id.to_string(),
        ..Default::default()
    };
    ledger.lock().insert(request.email.clone(), None);
    let mut client = InvitationServiceClient::new(channel);
    let mut tries = interval(Duration::from_millis(250));
    tries.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for _ in 0..TRIES {
        tries.tick().await;
        let mut call = with_token(&token, request.clone());
        call.set_timeout(Duration::from_secs(10));
        match client.create_invitation(call).await {
            Ok(answer) => {
                let invitation = answer.into_inner().invitation.expect("an invitation");
                ledger.lock().insert(request.email, Some(invitation.id));
                return;
            }
            Err(status) if may_pass(status.code()) => {}
            Err(status) => panic!("{status}"),
        }
    }
}

fn may_pass(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Unknown
            | Code::Aborted
            // A connection on which many calls ran out of time is closed.
            | Code::ResourceExhausted
    )
}
