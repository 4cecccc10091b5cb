use api::organisation::v1 as proto;
use kernel::Uuid;
use sea_orm::entity::prelude::*;

use crate::domain::{permission::Permission, rights::Rights};

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
    /// Raised with every change.
    pub version: i32,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// As a caller with these rights sees it: without the parent, if they may not see that.
    pub(crate) fn seen_with(self, rights: &Rights) -> proto::Organisation {
        let shows_parent = rights.allow_above(Permission::OrganisationsRead);
        let parent = self.parent_id.filter(|parent| *parent != PLATFORM && shows_parent);
        proto::Organisation {
            id: self.id.to_string(),
            parent_id: parent.map(|id| id.to_string()).unwrap_or_default(),
            display_name: self.display_name,
            created_at: Some(api::timestamp(self.created_at)),
            updated_at: Some(api::timestamp(self.updated_at)),
            etag: etag(self.version),
            ..Default::default()
        }
    }
}

/// A version as callers see it.
pub(crate) fn etag(version: i32) -> String {
    format!("v{version}")
}
