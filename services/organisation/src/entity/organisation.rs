use api::organisation::v1 as proto;
use kernel::Uuid;
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, JoinType, QueryOrder as _, QuerySelect as _,
    entity::prelude::*, sea_query::LockType,
};

use super::ancestor;
use crate::domain::{
    invitation_policy::{InvitationPolicy, Said},
    permission::Permission,
    rights::Rights,
};

/// The node above all roots. It is not shown: rights held there hold everywhere.
pub(crate) const PLATFORM: Uuid = Uuid::nil();

/// A node in the tree.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "organisations")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The platform for a root; nothing for the platform itself.
    pub parent_id: Option<Uuid>,
    /// 1 for a root.
    pub depth: i32,
    pub display_name: String,
    /// The name folded, as UTF-8: what is ordered by.
    pub search_name: Vec<u8>,
    /// The archived organisation that closes this one: itself, or one above it.
    pub archived_by: Option<Uuid>,
    /// Domains with spaces between; empty allows all.
    pub allowed_domains: String,
    pub approval_required: bool,
    /// A role's key; empty inherits.
    pub default_role: String,
    pub existing_account: ExistingAccount,
    /// Raised with every change.
    pub version: i32,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// What an invitation of an address that has an account does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
pub(crate) enum ExistingAccount {
    Inherit,
    Associate,
    Refuse,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// As a caller with these rights sees it: without the parent, if they may not see that.
    pub(crate) fn seen_with(self, rights: &Rights) -> proto::Organisation {
        self.seen(rights.allow_above(Permission::OrganisationsRead))
    }

    /// As a caller sees it, who sees its parent or does not.
    pub(crate) fn seen(self, shows_parent: bool) -> proto::Organisation {
        let parent = self.parent_id.filter(|parent| *parent != PLATFORM && shows_parent);
        let existing_account = match self.existing_account {
            ExistingAccount::Inherit => proto::ExistingAccountPolicy::Unspecified,
            ExistingAccount::Associate => proto::ExistingAccountPolicy::Associate,
            ExistingAccount::Refuse => proto::ExistingAccountPolicy::Refuse,
        };
        proto::Organisation {
            id: self.id.to_string(),
            parent_id: parent.map(|id| id.to_string()).unwrap_or_default(),
            display_name: self.display_name,
            created_at: Some(api::timestamp(self.created_at)),
            updated_at: Some(api::timestamp(self.updated_at)),
            etag: etag(self.version),
            archived: self.archived_by.is_some(),
            invitation_policy: Some(proto::InvitationPolicy {
                allowed_domains: self
                    .allowed_domains
                    .split_whitespace()
                    .map(str::to_owned)
                    .collect(),
                approval_required: self.approval_required,
                default_role: self.default_role,
                existing_account: existing_account.into(),
            }),
        }
    }
}

impl From<Model> for Said {
    fn from(node: Model) -> Self {
        Self {
            allowed_domains: node.allowed_domains.split_whitespace().map(str::to_owned).collect(),
            approval_required: node.approval_required,
            refuses_accounts: match node.existing_account {
                ExistingAccount::Inherit => None,
                ExistingAccount::Associate => Some(false),
                ExistingAccount::Refuse => Some(true),
            },
        }
    }
}

/// A version as callers see it.
pub(crate) fn etag(version: i32) -> String {
    format!("v{version}")
}

/// A node and all above it up to the root, the nearest first; without the platform.
pub(crate) async fn chain(
    connection: &impl ConnectionTrait,
    id: Uuid,
) -> Result<Vec<Model>, DbErr> {
    let to_ancestor =
        Entity::belongs_to(ancestor::Entity).from(Column::Id).to(ancestor::Column::AncestorId);
    Entity::find()
        .join(JoinType::InnerJoin, to_ancestor.into())
        .filter(ancestor::Column::OrganisationId.eq(id))
        .filter(Column::Id.ne(PLATFORM))
        .order_by_asc(ancestor::Column::Distance)
        .all(connection)
        .await
}

/// The identifiers of a node and of all above it, the root first; without the platform.
pub(crate) async fn path(
    connection: &impl ConnectionTrait,
    id: Uuid,
) -> Result<Vec<String>, DbErr> {
    let above = ancestor::Entity::find()
        .filter(ancestor::Column::OrganisationId.eq(id))
        .filter(ancestor::Column::AncestorId.ne(PLATFORM))
        .order_by_desc(ancestor::Column::Distance)
        .all(connection)
        .await?;
    Ok(above.into_iter().map(|row| row.ancestor_id.to_string()).collect())
}

/// What holds for invitations into a node.
pub(crate) async fn invitation_policy(
    connection: &impl ConnectionTrait,
    id: Uuid,
) -> Result<InvitationPolicy, DbErr> {
    Ok(InvitationPolicy::of(chain(connection, id).await?.into_iter().map(Said::from)))
}

/// Holds a node's row until the end of the transaction, against those who do the same: what changes
/// who owns a root takes its row, so that of two owners who leave at once one stays.
pub(crate) async fn hold(tx: &DatabaseTransaction, id: Uuid) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).lock(LockType::NoKeyUpdate).one(tx).await
}

/// Holds the shape of the tree until the end of the transaction. Whoever adds a node shares it;
/// whoever moves, archives or restores has it alone, and so knows that no node slips past.
pub(crate) async fn hold_tree(tx: &DatabaseTransaction, alone: bool) -> Result<(), DbErr> {
    let lock = if alone { LockType::Update } else { LockType::Share };
    Entity::find_by_id(PLATFORM).lock(lock).one(tx).await.map(|_| ())
}
