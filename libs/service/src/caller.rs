use std::sync::Arc;

use kernel::{EmailAddress, Time, Uuid};
use tonic::{Request, Status};

use crate::{Auth, Claims};

/// Who makes a call, from a verified token and from nothing else.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The user or service account.
    pub subject: Uuid,
    /// A person or a service account.
    pub kind: CallerKind,
    /// The token, to go on in the caller's name.
    token: Arc<str>,
    /// When the token runs out.
    until: Time,
}

/// What kind of caller it is.
#[derive(Clone, Debug)]
pub enum CallerKind {
    /// A signed-in person.
    Person {
        /// The session that the token belongs to.
        session: Uuid,
        /// Verified at enrolment.
        email: EmailAddress,
        /// As the person wrote it.
        display_name: String,
    },
    /// A service account.
    Service {
        /// From the closed list in `identity/v1/service_account_service.proto`.
        scopes: Vec<String>,
    },
}

impl Caller {
    pub(crate) fn from_claims(claims: Claims, token: &str) -> Option<Self> {
        let kind = match claims.kind.as_str() {
            "person" => CallerKind::Person {
                session: claims.sid?,
                email: EmailAddress::parse(&claims.email).ok()?,
                display_name: claims.name,
            },
            "service" => CallerKind::Service {
                scopes: claims.scope.split_whitespace().map(str::to_owned).collect(),
            },
            _ => return None,
        };
        let until = Time::from_timestamp(claims.exp, 0)?;
        Some(Self { subject: claims.sub, kind, token: token.into(), until })
    }

    /// The caller of a request. Every RPC that is not on its service's public list has one.
    pub fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        let caller = request.extensions().get::<Self>().cloned();
        caller.ok_or_else(crate::boundary::unauthenticated)
    }

    /// Whether this is a service account with the scope.
    pub fn has_scope(&self, scope: &str) -> bool {
        match &self.kind {
            CallerKind::Person { .. } => false,
            CallerKind::Service { scopes } => scopes.iter().any(|held| held == scope),
        }
    }

    /// Whether this is a person, not a program.
    pub fn is_person(&self) -> bool {
        matches!(self.kind, CallerKind::Person { .. })
    }

    /// Refuses what comes when the token has run out: a call that goes on does so no longer than
    /// its token. Whoever has lost their sessions gets no other.
    pub fn require_token(&self, now: Time) -> Result<(), Status> {
        if now < self.until { Ok(()) } else { Err(crate::boundary::unauthenticated()) }
    }

    /// The right to call a peer in this caller's name.
    pub fn auth(&self) -> Auth {
        Auth::Bearer(self.token.clone())
    }
}
