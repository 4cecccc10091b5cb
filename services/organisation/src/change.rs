use std::ops::Deref;

use db::{Transaction, request::Begun};
use kernel::{Time, Uuid};
use prost::Message;
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait as _, IntoActiveModel as _,
};
use service::CallerKind;

use crate::{
    Organisations,
    call::Call,
    entity::audit_record::{self, ActorKind},
    error::Error,
};

/// A change in the making: one transaction, with its events, its place in the history and the answer
/// that a repetition gets. Dropped without [`Change::commit`], nothing has happened.
pub(crate) struct Change<'a> {
    service: &'a Organisations,
    by: By<'a>,
    tx: Transaction,
    /// The moment that the change happens at.
    pub now: Time,
}

/// Who makes it.
#[derive(Clone, Copy)]
enum By<'a> {
    Caller(&'a Call),
    /// Usher itself, at a time or upon an event: what it does, as `noun.verb`.
    Usher(&'static str),
}

impl Organisations {
    /// Begins what a call asks for. A call that was carried out before ends here, with
    /// [`Error::Repeated`].
    pub(crate) async fn begin<'a>(&'a self, call: &'a Call) -> Result<Change<'a>, Error> {
        let once = call.once()?;
        let now = self.clock.now();
        let tx = self.database.begin().await?;
        if let Some(key) = once {
            match db::request::begin(&tx, key, now).await? {
                Begun::First => {}
                Begun::Repeated(answer) => return Err(Error::Repeated(answer)),
                Begun::Conflict => return Err(Error::RequestIdReused),
            }
        }
        Ok(Change { service: self, by: By::Caller(call), tx, now })
    }

    /// Begins what Usher does by itself.
    pub(crate) async fn begin_itself(&self, action: &'static str) -> Result<Change<'_>, DbErr> {
        let now = self.clock.now();
        let tx = self.database.begin().await?;
        Ok(Change { service: self, by: By::Usher(action), tx, now })
    }
}

impl Change<'_> {
    /// Publishes an event that must arrive: a consumer of ours waits for it.
    pub(crate) async fn publish(
        &self,
        key: &'static str,
        subject: Uuid,
        event: &impl Message,
    ) -> Result<(), DbErr> {
        service::publish(&self.tx, &self.service.clock, key, subject, event).await
    }

    /// Publishes many of one kind, each with its subject.
    pub(crate) async fn publish_each(
        &self,
        key: &'static str,
        events: &[(Uuid, impl Message)],
    ) -> Result<(), DbErr> {
        service::publish_each(&self.tx, &self.service.clock, key, events).await
    }

    /// Announces an event to whoever listens.
    pub(crate) async fn announce(
        &self,
        key: &'static str,
        subject: Uuid,
        event: &impl Message,
    ) -> Result<(), DbErr> {
        service::announce(&self.tx, &self.service.clock, key, subject, event).await
    }

    /// Writes the change into the history.
    pub(crate) async fn record(&self, record: Record) -> Result<(), DbErr> {
        self.record_each(vec![record]).await
    }

    /// Writes many changes into the history, one record each.
    pub(crate) async fn record_each(&self, records: Vec<Record>) -> Result<(), DbErr> {
        let row = |record| match self.by {
            By::Caller(call) => row_of(self.service, call, record, self.now),
            By::Usher(action) => self.row_itself(action, record),
        };
        insert(&*self.tx, records.into_iter().map(row).collect()).await
    }

    /// Writes into the history what Usher does by itself on the way, such as expiring what stands in
    /// the way of a call.
    pub(crate) async fn record_itself(
        &self,
        action: &'static str,
        record: Record,
    ) -> Result<(), DbErr> {
        insert(&*self.tx, vec![self.row_itself(action, record)]).await
    }

    fn row_itself(&self, action: &'static str, record: Record) -> audit_record::Model {
        let action = action.to_owned();
        audit_record::Model { action, ..blank(self.service, record, self.now) }
    }

    /// The transaction, for what wants to know whose it is.
    pub(crate) fn tx(&self) -> &Transaction {
        &self.tx
    }

    /// Commits, and answers; a repetition of the call will be answered alike.
    pub(crate) async fn commit<R: Message>(self, answer: R) -> Result<R, Error> {
        if let By::Caller(call) = self.by
            && let Some(key) = call.once()?
        {
            db::request::answer(&self.tx, key, answer.encode_to_vec()).await?;
        }
        self.tx.commit().await?;
        Ok(answer)
    }

    /// Commits what Usher did by itself.
    pub(crate) async fn commit_itself(self) -> Result<(), DbErr> {
        self.tx.commit().await
    }
}

impl Deref for Change<'_> {
    type Target = DatabaseTransaction;

    fn deref(&self) -> &DatabaseTransaction {
        &self.tx
    }
}

/// What the history says of a change, beyond who and when. It names people by identifier alone.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    organisation: Option<Uuid>,
    target: (&'static str, Option<Uuid>),
    invitation: Option<Uuid>,
    access_request: Option<Uuid>,
    details: Vec<String>,
}

impl Record {
    /// What was changed, and at which organisation.
    pub(crate) fn of(kind: &'static str, id: Uuid, organisation: Uuid) -> Self {
        Self {
            organisation: Some(organisation),
            target: (kind, Some(id)),
            invitation: None,
            access_request: None,
            details: Vec::new(),
        }
    }

    /// From which invitation it came.
    pub(crate) fn invitation(self, id: Uuid) -> Self {
        Self { invitation: Some(id), ..self }
    }

    /// From which access request it came.
    pub(crate) fn access_request(self, id: Uuid) -> Self {
        Self { access_request: Some(id), ..self }
    }

    /// What changed, such as `roles=admin user`; no personal data.
    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.details.push(detail.into());
        self
    }
}

/// Writes a refusal into the history, outside of the transaction that came to nothing.
pub(crate) async fn record_refusal(
    service: &Organisations,
    call: &Call,
    reason: &str,
) -> Result<(), DbErr> {
    let record = Record {
        organisation: call.about(),
        target: ("", None),
        invitation: None,
        access_request: None,
        details: Vec::new(),
    };
    let mut row = row_of(service, call, record, service.clock.now());
    row.refusal = reason.to_owned();
    insert(service.database.read(), vec![row]).await
}

/// What somebody did at another service, as that tells.
pub(crate) struct Told {
    pub actor: (Uuid, ActorKind),
    /// As `noun.verb`.
    pub action: &'static str,
    pub at: Time,
    pub organisation: Uuid,
    pub target_kind: &'static str,
    /// What changed; no personal data.
    pub details: Vec<String>,
}

/// Writes into the history what another service tells of.
pub(crate) async fn record_told(
    service: &Organisations,
    tx: &Transaction,
    told: Told,
) -> Result<(), DbErr> {
    let Told { actor, action, at, organisation, target_kind, details } = told;
    let record = Record {
        organisation: Some(organisation),
        target: (target_kind, None),
        invitation: None,
        access_request: None,
        details,
    };
    let row = audit_record::Model {
        actor_id: Some(actor.0),
        actor_kind: actor.1,
        action: action.to_owned(),
        ..blank(service, record, at)
    };
    insert(&**tx, vec![row]).await
}

fn row_of(service: &Organisations, call: &Call, record: Record, now: Time) -> audit_record::Model {
    let actor_kind = match call.kind {
        CallerKind::Person { .. } => ActorKind::Person,
        CallerKind::Service { .. } => ActorKind::ServiceAccount,
    };
    audit_record::Model {
        actor_id: Some(call.subject),
        actor_kind,
        on_behalf_of: call.on_behalf_of,
        action: call.action.to_owned(),
        ..blank(service, record, now)
    }
}

fn blank(service: &Organisations, record: Record, now: Time) -> audit_record::Model {
    audit_record::Model {
        id: service.clock.new_id(),
        sequence: None,
        at: now,
        actor_id: None,
        actor_kind: ActorKind::Usher,
        on_behalf_of: None,
        action: String::new(),
        refusal: String::new(),
        organisation_id: record.organisation,
        target_kind: record.target.0.to_owned(),
        target_id: record.target.1,
        invitation_id: record.invitation,
        access_request_id: record.access_request,
        details: record.details.join("\n"),
        previous_hash: None,
        hash: None,
    }
}

async fn insert(
    connection: &impl ConnectionTrait,
    rows: Vec<audit_record::Model>,
) -> Result<(), DbErr> {
    if rows.is_empty() {
        return Ok(());
    }
    let rows = rows.into_iter().map(|row| row.into_active_model());
    audit_record::Entity::insert_many(rows).exec_without_returning(connection).await.map(|_| ())
}
