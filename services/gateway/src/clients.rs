use api::{
    identity::v1::{
        key_service_client::KeyServiceClient, session_service_client::SessionServiceClient,
        user_service_client::UserServiceClient,
    },
    notification::v1::suppression_service_client::SuppressionServiceClient,
    organisation::v1::{
        access_request_service_client::AccessRequestServiceClient,
        application_service_client::ApplicationServiceClient,
        audit_service_client::AuditServiceClient,
        invitation_service_client::InvitationServiceClient,
        membership_service_client::MembershipServiceClient,
        organisation_service_client::OrganisationServiceClient,
        permission_service_client::PermissionServiceClient, role_service_client::RoleServiceClient,
    },
};
use kernel::Clock;
use service::{Auth, Peer, Peers};

/// What every handler works with: the other services.
#[derive(Clone)]
pub(crate) struct Gateway {
    pub peers: Peers,
    pub clock: Clock,
    /// Whether the start page can lead to the mailbox.
    pub has_mailbox: bool,
    /// Whether browsers reach this over https, by configuration.
    pub is_https: bool,
}

impl Gateway {
    pub fn sessions(&self, auth: Auth) -> SessionServiceClient<Peer> {
        SessionServiceClient::new(self.peers.identity(auth))
    }

    pub fn users(&self, auth: Auth) -> UserServiceClient<Peer> {
        UserServiceClient::new(self.peers.identity(auth))
    }

    pub fn keys(&self) -> KeyServiceClient<Peer> {
        KeyServiceClient::new(self.peers.identity(Auth::Anonymous))
    }

    pub fn organisations(&self, auth: Auth) -> OrganisationServiceClient<Peer> {
        OrganisationServiceClient::new(self.peers.organisation(auth))
    }

    pub fn memberships(&self, auth: Auth) -> MembershipServiceClient<Peer> {
        MembershipServiceClient::new(self.peers.organisation(auth))
    }

    pub fn roles(&self, auth: Auth) -> RoleServiceClient<Peer> {
        RoleServiceClient::new(self.peers.organisation(auth))
    }

    pub fn permissions(&self, auth: Auth) -> PermissionServiceClient<Peer> {
        PermissionServiceClient::new(self.peers.organisation(auth))
    }

    pub fn invitations(&self, auth: Auth) -> InvitationServiceClient<Peer> {
        InvitationServiceClient::new(self.peers.organisation(auth))
    }

    pub fn access_requests(&self, auth: Auth) -> AccessRequestServiceClient<Peer> {
        AccessRequestServiceClient::new(self.peers.organisation(auth))
    }

    pub fn applications(&self, auth: Auth) -> ApplicationServiceClient<Peer> {
        ApplicationServiceClient::new(self.peers.organisation(auth))
    }

    pub fn suppressions(&self, auth: Auth) -> SuppressionServiceClient<Peer> {
        SuppressionServiceClient::new(self.peers.notification(auth))
    }

    pub fn audit(&self, auth: Auth) -> AuditServiceClient<Peer> {
        AuditServiceClient::new(self.peers.organisation(auth))
    }
}
