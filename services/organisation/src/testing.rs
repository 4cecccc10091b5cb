//! A stage for tests: the service as production starts it, beside an identity service that knows
//! whom the test makes.

mod accounts;
mod refusals;
mod tree;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use api::{
    identity::v1::{
        service_account_service_server::ServiceAccountServiceServer,
        user_service_server::UserServiceServer, *,
    },
    organisation::v1::{
        access_request_service_client::AccessRequestServiceClient,
        application_service_client::ApplicationServiceClient,
        audit_service_client::AuditServiceClient,
        invitation_service_client::InvitationServiceClient,
        membership_service_client::MembershipServiceClient,
        organisation_service_client::OrganisationServiceClient,
        permission_service_client::PermissionServiceClient, role_service_client::RoleServiceClient,
        *,
    },
};
use bus::{Handler, Queue};
use kernel::{Duration, Time, Uuid};
use sea_orm::{ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _};
use service::{Claims, Module};
use testkit::{Bench, Connection, Served, eventually};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use accounts::Accounts;
pub(crate) use refusals::{reason, violations};

use crate::{
    Organisations,
    domain::role::{RoleKey, Roles},
    entity::{
        audit_record,
        membership::{self, New, Span},
        organisation::PLATFORM,
        person, role,
    },
};

/// The running service.
pub(crate) struct Stage {
    pub bench: Bench,
    served: Served,
    /// What the service's use cases work with: to look at its tables, and to race.
    pub service: Organisations,
    accounts: Accounts,
    _identity: Served,
}

/// Somebody with a token.
#[derive(Clone)]
pub(crate) struct Who {
    pub id: Uuid,
    pub email: String,
    connection: Connection,
}

impl Stage {
    /// A stage on which the tree may become so many tiers deep.
    pub(crate) async fn of_depth(mut bench: Bench, depth: u32) -> Self {
        Arc::make_mut(&mut bench.infra.settings).organisation_depth = depth;
        Self::set(bench).await
    }

    pub(crate) async fn set(mut bench: Bench) -> Self {
        let accounts = Accounts {
            clock: bench.infra.clock.clone(),
            signer: bench.infra.signer(),
            users: Arc::default(),
            services: Arc::default(),
        };
        let routes = Routes::new(UserServiceServer::new(accounts.clone()))
            .add_service(ServiceAccountServiceServer::new(accounts.clone()));
        let public = &["/usher.identity.v1.ServiceAccountService/IssueServiceToken"];
        let identity = Module { grpc: Some(routes), public, ..Module::new("identity") };
        let identity = bench.serve(identity).await;
        Arc::make_mut(&mut bench.infra.settings).identity_url = identity.url.clone();
        crate::migrate(&bench.infra).await.unwrap();
        let database = bench.infra.database("organisation").await.unwrap();
        let service = Organisations::new(&bench.infra, database).unwrap();
        let served = bench.serve(crate::build(&bench.infra).await.unwrap()).await;
        Self { bench, served, service, accounts, _identity: identity }
    }

    /// Another instance of the service, beside the first.
    pub(crate) async fn another(&self) -> Served {
        self.bench.serve(crate::build(&self.bench.infra).await.unwrap()).await
    }

    /// Stops the service, and starts it again after some time.
    pub(crate) async fn restart_after(&mut self, time: Duration) {
        self.served.halt().await;
        self.pass(time);
        self.served = self.another().await;
    }

    /// Keeps what is told of invitations, and of memberships in time, from now on.
    pub(crate) fn listen(&self) -> Heard {
        const KEYS: &[&str] = &[
            "organisation.invitation.created.v1",
            "organisation.invitation.reissued.v1",
            "organisation.invitation.reminded.v1",
            "organisation.invitation.expired.v1",
            "organisation.invitation.settled.v1",
            "organisation.membership.begun.v1",
            "organisation.membership.ended.v1",
        ];
        let heard = Heard::default();
        let told = heard.0.clone();
        let handler: Handler = Arc::new(move |message| {
            told.lock().unwrap().push(message);
            Box::pin(async { Ok(()) })
        });
        let queue = Queue { name: "listener", bindings: KEYS, concurrency: 8 };
        tokio::spawn(self.bench.infra.bus.consume(queue, handler, CancellationToken::new()));
        heard
    }

    /// Waits until everything that was published has been taken.
    pub(crate) async fn relayed(&self) {
        eventually("the outbox is empty", async || {
            let backlog = db::outbox::backlog(&self.service.database).await.unwrap();
            (backlog.waiting == 0).then_some(())
        })
        .await;
    }

    /// How often something was done to an invitation, as the history tells it.
    pub(crate) async fn history(&self, action: &str, invitation: &str) -> u64 {
        let rows = audit_record::Entity::find()
            .filter(audit_record::Column::Action.eq(action))
            .filter(audit_record::Column::TargetId.eq(invitation.parse::<Uuid>().unwrap()));
        rows.count(self.service.database.read()).await.unwrap()
    }

    /// How many accounts the identity service has.
    pub(crate) fn accounts(&self) -> usize {
        self.accounts.users.lock().unwrap().len()
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, time: Duration) {
        self.bench.clock.advance(time);
    }

    pub(crate) fn now(&self) -> Time {
        self.service.clock.now()
    }

    /// A signed-in person who belongs nowhere; called again, the same with a new token.
    pub(crate) fn person(&self, email: &str) -> Who {
        let id = self.accounts.enrolled(email);
        let clock = &self.service.clock;
        let name = email.split('@').next().unwrap_or_default().to_owned();
        let claims = Claims::person(id, clock.new_id(), email.to_owned(), name, clock.new_id());
        self.who(id, email, self.bench.sign(claims))
    }

    /// A service account that belongs nowhere.
    pub(crate) fn account(&self, name: &str, scopes: &str) -> Who {
        let clock = &self.service.clock;
        let id = clock.new_id();
        self.accounts.services.lock().unwrap().insert(id.to_string(), name.to_owned());
        let claims = Claims::service(id, name.to_owned(), scopes.to_owned(), clock.new_id());
        self.who(id, "", self.bench.sign(claims))
    }

    /// What the identity service says of somebody's account from now on.
    pub(crate) fn account_is(&self, who: &Who, status: UserStatus) {
        let mut users = self.accounts.users.lock().unwrap();
        users.get_mut(&who.email).unwrap().set_status(status);
    }

    fn who(&self, id: Uuid, email: &str, token: String) -> Who {
        Who { id, email: email.to_owned(), connection: self.served.connection(&token) }
    }

    /// The platform owner.
    pub(crate) async fn platform_owner(&self) -> Who {
        let who = self.person("owner@example.com");
        self.grant(&who, PLATFORM, &["owner"]).await;
        who
    }

    /// A root that somebody new owns.
    pub(crate) async fn root(&self, name: &str) -> (Who, String) {
        let platform = self.platform_owner().await;
        let root = self.organisation(&platform, name, "").await;
        let owner =
            self.person(&format!("{}-owner@example.com", name.to_lowercase().replace(' ', "-")));
        self.grant(&owner, root.parse().unwrap(), &["owner"]).await;
        (owner, root)
    }

    /// An organisation made by somebody; below nothing it is a root.
    pub(crate) async fn organisation(&self, by: &Who, name: &str, parent: &str) -> String {
        let request = CreateOrganisationRequest {
            display_name: name.to_owned(),
            parent_id: parent.to_owned(),
            ..Default::default()
        };
        let answer = by.organisations().create_organisation(request).await;
        answer.unwrap().into_inner().organisation.unwrap().id
    }

    /// A person who is a member with these roles, whatever it takes.
    pub(crate) async fn member(&self, email: &str, organisation: &str, roles: &[&str]) -> Who {
        let who = self.person(email);
        self.grant(&who, organisation.parse().unwrap(), roles).await;
        who
    }

    /// The identifier of an invitation by somebody.
    pub(crate) async fn invite(&self, by: &Who, organisation: &str, email: &str) -> String {
        let request = CreateInvitationRequest {
            organisation_id: organisation.to_owned(),
            email: email.to_owned(),
            ..Default::default()
        };
        let answer = by.invitations().create_invitation(request).await;
        answer.unwrap().into_inner().invitation.unwrap().id
    }

    /// Makes somebody a member, past all rules.
    pub(crate) async fn grant(&self, who: &Who, organisation: Uuid, roles: &[&str]) {
        let service = &self.service;
        let tx = service.database.begin().await.unwrap();
        let keys: Vec<_> = roles.iter().map(|key| RoleKey::parse(key).unwrap()).collect();
        let among = role::given_at(organisation);
        let roles: Roles = role::find(&*tx, among, "roles", &keys).await.unwrap().unwrap();
        if !who.email.is_empty() {
            let name = who.email.split('@').next().unwrap_or_default();
            person::remember(&*tx, who.id, &who.email, name).await.unwrap();
        }
        let new = New {
            id: service.clock.new_id(),
            is_service_account: who.email.is_empty(),
            span: Span::default(),
            now: service.clock.now(),
        };
        membership::grant(&*tx, who.id, organisation, &roles, new).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Whether somebody may do something, as the service answers it.
    pub(crate) async fn allows(&self, who: &Who, organisation: &str, permission: &str) -> bool {
        let request = CheckPermissionRequest {
            subject_id: String::new(),
            organisation_id: organisation.to_owned(),
            permission: permission.to_owned(),
        };
        who.permissions().check_permission(request).await.unwrap().into_inner().allowed
    }
}

/// What was told.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<bus::Message>>>);

impl Heard {
    /// The payloads of different events of a routing key about something. An event may come twice;
    /// two events are two.
    pub(crate) fn events(&self, key: &str, subject: &str) -> Vec<Vec<u8>> {
        let heard = self.0.lock().unwrap();
        let events = heard.iter().filter(|message| message.routing_key == key);
        let events = events.filter(|message| message.subject.to_string() == subject);
        let different: BTreeMap<_, _> = events.map(|it| (it.id, it.payload.clone())).collect();
        different.into_values().collect()
    }
}

/// A client of each service, in this caller's name.
impl Who {
    pub(crate) fn organisations(&self) -> OrganisationServiceClient<Connection> {
        OrganisationServiceClient::new(self.connection.clone())
    }

    pub(crate) fn memberships(&self) -> MembershipServiceClient<Connection> {
        MembershipServiceClient::new(self.connection.clone())
    }

    pub(crate) fn roles(&self) -> RoleServiceClient<Connection> {
        RoleServiceClient::new(self.connection.clone())
    }

    pub(crate) fn permissions(&self) -> PermissionServiceClient<Connection> {
        PermissionServiceClient::new(self.connection.clone())
    }

    pub(crate) fn invitations(&self) -> InvitationServiceClient<Connection> {
        InvitationServiceClient::new(self.connection.clone())
    }

    pub(crate) fn access_requests(&self) -> AccessRequestServiceClient<Connection> {
        AccessRequestServiceClient::new(self.connection.clone())
    }

    pub(crate) fn applications(&self) -> ApplicationServiceClient<Connection> {
        ApplicationServiceClient::new(self.connection.clone())
    }

    pub(crate) fn audit(&self) -> AuditServiceClient<Connection> {
        AuditServiceClient::new(self.connection.clone())
    }
}
