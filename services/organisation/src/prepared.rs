use api::{
    identity::v1::{
        CreateInvitedUserRequest, User, UserStatus, user_service_client::UserServiceClient,
    },
    organisation::v1::{CreateInvitationRequest, Invitation, InvitationCreated, InvitationState},
};
use kernel::{DisplayName, Duration, EmailAddress, Fields, Malformed, Time, Uuid, parse_id};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};

use crate::{
    Organisations,
    call::Call,
    change::{Change, Record},
    domain::{
        invitation::parse_life, invitation_policy::InvitationPolicy, permission::Permission,
        rights::Giver,
    },
    entity::{
        invitation::{self, State},
        membership, organisation,
        organisation::PLATFORM,
        person,
    },
    error::Error,
    offer::{Found, Offer},
    settlement,
};

/// An invitation that may be made: read, and allowed. What is left is to ask for the invitee's
/// account, and to make it.
pub(crate) struct Prepared {
    organisation: Uuid,
    email: EmailAddress,
    display_name: String,
    offer: Offer,
    found: Found,
    policy: InvitationPolicy,
    life: Duration,
    inviter: (Uuid, Giver),
}

/// The syntax of a request.
struct Syntax {
    fields: Fields,
    organisation: Option<Uuid>,
    email: Option<EmailAddress>,
    display_name: Option<String>,
    offer: Offer,
    life: Option<Duration>,
}

impl Prepared {
    /// Reads a request. Needs `invitations.create` and the ceiling; a service account offers
    /// invitable roles alone, also if that is the default role. Whoever may invite hears of every
    /// wrong field at once.
    pub(crate) async fn read(
        service: &Organisations,
        call: &Call,
        request: CreateInvitationRequest,
    ) -> Result<Self, Error> {
        let Syntax { mut fields, organisation, email, display_name, offer, life } =
            syntax(service, request);
        let Some(organisation) = organisation else { return Err(Error::Invalid(fields)) };
        let database = service.database.read();
        let rights = service.rights(call, database, organisation).await?;
        rights.require(Permission::InvitationsCreate)?;
        if organisation == PLATFORM {
            return Err(Error::OrganisationNotFound);
        }
        let policy = organisation::invitation_policy(database, organisation).await?;
        let found = offer.look_up(database, organisation, &mut fields, "").await?;
        let (Some(email), Some(display_name), Some(life), true) =
            (email, display_name, life, fields.violations().is_empty())
        else {
            return Err(Error::Invalid(fields));
        };
        rights.require_to_grant(&found.roles, call.giver())?;
        offer.require_registered(&found)?;
        if let Some(domain) = policy.refused_domain(&email) {
            return Err(Error::DomainNotAllowed { domain: domain.to_owned() });
        }
        let inviter = (call.subject, call.giver());
        Ok(Self { organisation, email, display_name, offer, found, policy, life, inviter })
    }

    /// Whether the invitee still lacks what is offered, as far as is known here: nobody is asked, and
    /// nothing is written. An account that has never been seen here is not known of.
    pub(crate) async fn require_news(&self, service: &Organisations) -> Result<(), Error> {
        let (database, now) = (service.database.read(), service.clock.now());
        let pending = invitation::Entity::find()
            .filter(invitation::Column::OrganisationId.eq(self.organisation))
            .filter(invitation::Column::Email.eq(self.email.as_str()))
            .filter(invitation::is_in_state(InvitationState::Pending, now))
            .one(database)
            .await?;
        if let Some(pending) = pending {
            return Err(Error::InvitationPending { id: pending.id });
        }
        let known = person::Entity::find()
            .filter(person::Column::Email.eq(self.email.as_str()))
            .one(database)
            .await?;
        let Some(known) = known else { return Ok(()) };
        let held = membership::lasting_roles(database, known.user_id, self.organisation, now);
        let held = held.await?;
        if self.found.roles.iter().all(|role| held.contains(role.id)) {
            return Err(Error::AlreadyMember);
        }
        if self.policy.refuses_accounts() { Err(Error::AccountExists) } else { Ok(()) }
    }

    /// Counts the invitation against its limits, and answers the invitee's account, from the identity
    /// service; made there if there is none. Asking again
    /// changes nothing, so that it may come before the transaction, and stay if that comes to
    /// nothing.
    pub(crate) async fn account(
        &self,
        service: &Organisations,
        call: &Call,
    ) -> Result<User, Error> {
        service.count_invitation(call, self.organisation, self.email.as_str()).await?;
        let peer = |status| Error::Peer(Box::new(status));
        let auth = service.peers.own().await.map_err(peer)?;
        let mut client = UserServiceClient::new(service.peers.identity(auth));
        let request = CreateInvitedUserRequest {
            email: self.email.to_string(),
            display_name: self.display_name.clone(),
            // Who refuses existing accounts makes new ones as source 004 has it.
            random_password: self.policy.refuses_accounts(),
        };
        let answer = client.create_invited_user(request).await.map_err(peer)?.into_inner();
        answer.user.ok_or_else(|| Error::Internal("no user in the answer".to_owned()))
    }

    /// Makes the invitation, if the invitee may have it. Event:
    /// `organisation.invitation.created.v1`, which becomes the mail.
    pub(crate) async fn make(
        self,
        service: &Organisations,
        change: &Change<'_>,
        call: &Call,
        account: &User,
    ) -> Result<invitation::Model, Error> {
        let invitee = parse_id(&account.id).map_err(|error| Error::Internal(error.to_string()))?;
        match account.status() {
            UserStatus::Invited | UserStatus::Active => {}
            UserStatus::Suspended | UserStatus::Disposed => return Err(Error::AccountUnusable),
            UserStatus::Unspecified => {
                return Err(Error::Internal("a user without a status".to_owned()));
            }
        }
        let (refuses, roles) = (self.policy.refuses_accounts(), self.found.roles.clone());
        let offered = self.row(service, invitee, change.now);
        let held =
            membership::lasting_roles(&**change, invitee, offered.organisation_id, change.now);
        let held = held.await?;
        if roles.iter().all(|role| held.contains(role.id)) {
            return Err(Error::AlreadyMember);
        }
        settlement::make_room(change, offered.organisation_id, &offered.email).await?;
        invitation::insert(change, &offered)
            .await?
            .map_err(|pending| Error::InvitationPending { id: pending })?;
        // An account that nobody has used and that belongs nowhere is what an attempt to invite has
        // left behind that came to nothing: it is as good as none.
        if refuses
            && (account.status() != UserStatus::Invited
                || invitation::is_known_elsewhere(&**change, &offered).await?)
        {
            return Err(Error::AccountExists);
        }
        // The mail names the inviter.
        person::remember_caller(&**change, call).await?;
        let event = InvitationCreated {
            invitation_id: offered.id.to_string(),
            organisation_id: offered.organisation_id.to_string(),
            issue: offered.issue,
        };
        change.publish("organisation.invitation.created.v1", offered.id, &event).await?;
        let record = Record::of("invitation", offered.id, offered.organisation_id);
        let record = record.invitation(offered.id).detail(format!("roles={roles}"));
        change.record(record).await?;
        Ok(offered)
    }

    fn row(self, service: &Organisations, invitee: Uuid, now: Time) -> invitation::Model {
        let (offer, expires_at) = (self.offer, now + self.life);
        invitation::Model {
            id: service.clock.new_id(),
            organisation_id: self.organisation,
            search_name: invitation::search_name(&self.display_name, self.email.as_str()),
            email: self.email.into(),
            // As it was given: what the account is called is not for whoever guesses its address.
            display_name: self.display_name,
            first_name: offer.first_name,
            last_name: offer.last_name,
            institution: offer.institution,
            roles: self.found.roles.to_string(),
            application_id: offer.application,
            personal_message: offer.personal_message,
            membership_valid_from: offer.span.valid_from,
            membership_expires_at: offer.span.expires_at,
            source_id: offer.source_id,
            callback_url: offer.callback.map(String::from).unwrap_or_default(),
            state: State::Pending,
            access_request_id: None,
            locale: offer.locale,
            inviter_id: self.inviter.0,
            inviter_kind: self.inviter.1.into(),
            invitee_id: invitee,
            issue: 1,
            expires_at,
            remind_at: service.remind_at(now, expires_at),
            version: 1,
            created_at: now,
            updated_at: now,
            deleted_at: None,
        }
    }
}

fn syntax(service: &Organisations, request: CreateInvitationRequest) -> Syntax {
    let CreateInvitationRequest {
        organisation_id,
        email,
        display_name,
        roles,
        locale,
        first_name,
        last_name,
        institution,
        application_id,
        personal_message,
        membership_valid_from,
        membership_expires_at,
        life,
        source_id,
        callback_url,
        request_id: _,
    } = request;
    let mut fields = Fields::default();
    let organisation = fields.read("organisation_id", parse_id(&organisation_id));
    let email = fields.read("email", EmailAddress::parse(&email));
    let wanted = Invitation {
        roles,
        locale,
        first_name,
        last_name,
        institution,
        application_id,
        personal_message,
        membership_valid_from,
        membership_expires_at,
        source_id,
        callback_url,
        ..Default::default()
    };
    let mut offer = Offer::default();
    for field in Offer::FIELDS {
        offer.take(field, &wanted, service.clock.now(), &mut fields, "");
    }
    offer.check(&mut fields, "");
    let name = if display_name.is_empty() { offer.full_name() } else { display_name };
    let name = fields.read_optional("display_name", &name, DisplayName::parse);
    let display_name = name.map(|name| name.map(String::from).unwrap_or_default());
    let life = match life {
        None => Some(service.link_life),
        Some(life) => fields.read("life", read_life(life)),
    };
    Syntax { fields, organisation, email, display_name, offer, life }
}

fn read_life(life: prost_types::Duration) -> Result<Duration, Malformed> {
    let nanos = u32::try_from(life.nanos).ok();
    let life = nanos.and_then(|nanos| Duration::new(life.seconds, nanos / 1_000 * 1_000));
    parse_life(life.unwrap_or_default())
}
