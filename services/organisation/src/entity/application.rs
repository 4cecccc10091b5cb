use api::organisation::v1 as proto;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use kernel::{SealKey, Sealed, Time, Uuid};
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, JoinType, QuerySelect as _, entity::prelude::*,
    sea_query::LockType,
};

use super::{ancestor, membership, organisation::etag, reach};
use crate::{
    call::Call,
    domain::{callback_url::CallbackUrl, permission::Permission, rights::Rights},
};

/// A service instance run by an organisation.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "applications")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub organisation_id: Uuid,
    pub display_name: String,
    /// Absolute URLs, a line each.
    pub redirect_urls: String,
    /// Hosts, a line each.
    pub callback_hosts: String,
    pub default_role_id: Uuid,
    pub assign_on_invite: bool,
    /// Counts the callback secrets, from 1: the secret is derived from it and never stored.
    pub secret_generation: i32,
    pub version: i32,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// Where an invitation leads its person.
    pub(crate) fn redirect_url(&self) -> Option<&str> {
        self.redirect_urls.lines().next()
    }

    /// The key that signs its callbacks now; `key` is the service's for callbacks.
    pub(crate) fn callback_key(&self, key: &SealKey) -> [u8; 32] {
        key.secret(Sealed { id: self.id, generation: self.secret_generation })
    }

    /// Whether it has registered a URL's host, with the port unless that is the scheme's own.
    pub(crate) fn takes_callbacks_at(&self, url: &CallbackUrl) -> bool {
        self.callback_hosts.lines().any(|host| host == url.host())
    }

    /// The same as its callers get it: as Standard Webhooks writes secrets.
    pub(crate) fn callback_secret(&self, key: &SealKey) -> String {
        format!("whsec_{}", STANDARD.encode(self.callback_key(key)))
    }

    /// As callers see it.
    pub(crate) fn seen(self, default_role: String) -> proto::Application {
        proto::Application {
            id: self.id.to_string(),
            organisation_id: self.organisation_id.to_string(),
            display_name: self.display_name,
            redirect_urls: self.redirect_urls.lines().map(str::to_owned).collect(),
            callback_hosts: self.callback_hosts.lines().map(str::to_owned).collect(),
            default_role,
            assign_on_invite: self.assign_on_invite,
            created_at: Some(api::timestamp(self.created_at)),
            updated_at: Some(api::timestamp(self.updated_at)),
            etag: etag(self.version),
        }
    }
}

/// The applications that an organisation can use: its own and those of organisations above it.
pub(crate) fn usable_at(organisation: Uuid) -> Select<Entity> {
    let to_ancestor = Entity::belongs_to(ancestor::Entity)
        .from(Column::OrganisationId)
        .to(ancestor::Column::AncestorId);
    Entity::find()
        .join(JoinType::InnerJoin, to_ancestor.into())
        .filter(ancestor::Column::OrganisationId.eq(organisation))
}

/// One of them.
pub(crate) async fn find_usable(
    connection: &impl ConnectionTrait,
    id: Uuid,
    organisation: Uuid,
) -> Result<Option<Model>, DbErr> {
    usable_at(organisation).filter(Column::Id.eq(id)).one(connection).await
}

/// An application as a caller finds it who may read its organisation, or one below, with their
/// rights at its organisation: there they may not even see it.
pub(crate) async fn seen_by(
    connection: &impl ConnectionTrait,
    id: Uuid,
    call: &Call,
    now: Time,
) -> Result<Option<(Model, Rights)>, DbErr> {
    let Some(found) = Entity::find_by_id(id).one(connection).await? else { return Ok(None) };
    let (subject, organisation) = (call.subject, found.organisation_id);
    call.note(organisation);
    let rights = membership::rights(connection, subject, organisation, now).await?;
    let read = Permission::OrganisationsRead;
    let sees = rights.allow(read)
        || !rights.archived && reach::into(connection, subject, read, organisation, now).await?;
    Ok(sees.then_some((found, rights)))
}

/// Holds an application until the end of the transaction: it is not removed meanwhile. `false` if it
/// is gone.
pub(crate) async fn hold(tx: &DatabaseTransaction, id: Uuid) -> Result<bool, DbErr> {
    Ok(Entity::find_by_id(id).lock(LockType::KeyShare).one(tx).await?.is_some())
}

/// The same, alone: whoever holds it comes before.
pub(crate) async fn hold_alone(tx: &DatabaseTransaction, id: Uuid) -> Result<bool, DbErr> {
    Ok(Entity::find_by_id(id).lock(LockType::Update).one(tx).await?.is_some())
}
