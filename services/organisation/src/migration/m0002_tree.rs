use kernel::Clock;
use sea_orm::DbErr;
use sea_orm_migration::prelude::*;

use crate::entity::{
    ancestor, membership, membership_role,
    organisation::{self, PLATFORM},
    person,
};

/// Creates the tree with the platform at its top, and memberships. New tables: it locks nothing
/// that is in use.
pub(crate) struct Tree;

impl MigrationName for Tree {
    fn name(&self) -> &str {
        "m0002_tree"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Tree {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        create_organisations(manager).await?;
        create_ancestors(manager).await?;
        create_memberships(manager).await?;
        plant_platform(manager).await
    }
}

async fn create_organisations(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    use organisation::Column as Organisation;
    manager
        .create_table(
            Table::create()
                .table("organisations")
                .col(ColumnDef::new(Organisation::Id).uuid().not_null().primary_key())
                .col(ColumnDef::new(Organisation::ParentId).uuid())
                .col(ColumnDef::new(Organisation::Depth).integer().not_null())
                .col(ColumnDef::new(Organisation::DisplayName).string_len(200).not_null())
                .col(ColumnDef::new(Organisation::Version).integer().not_null())
                .col(ColumnDef::new(Organisation::CreatedAt).timestamp_with_time_zone().not_null())
                .col(ColumnDef::new(Organisation::UpdatedAt).timestamp_with_time_zone().not_null())
                .foreign_key(
                    ForeignKey::create()
                        .from("organisations", Organisation::ParentId)
                        .to("organisations", Organisation::Id),
                )
                .to_owned(),
        )
        .await?;
    // The children of a node, page by page.
    manager
        .create_index(
            Index::create()
                .name("organisations_parent")
                .table("organisations")
                .col(Organisation::ParentId)
                .col(Organisation::Id)
                .to_owned(),
        )
        .await
}

async fn create_ancestors(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    use ancestor::Column as Ancestor;
    use organisation::Column as Organisation;
    manager
        .create_table(
            Table::create()
                .table("organisation_ancestors")
                .col(ColumnDef::new(Ancestor::OrganisationId).uuid().not_null())
                .col(ColumnDef::new(Ancestor::AncestorId).uuid().not_null())
                .col(ColumnDef::new(Ancestor::Distance).integer().not_null())
                .primary_key(
                    Index::create().col(Ancestor::OrganisationId).col(Ancestor::AncestorId),
                )
                .foreign_key(
                    ForeignKey::create()
                        .from("organisation_ancestors", Ancestor::OrganisationId)
                        .to("organisations", Organisation::Id),
                )
                .to_owned(),
        )
        .await?;
    // The subtree of a node.
    manager
        .create_index(
            Index::create()
                .name("organisation_ancestors_ancestor")
                .table("organisation_ancestors")
                .col(Ancestor::AncestorId)
                .col(Ancestor::OrganisationId)
                .to_owned(),
        )
        .await
}

async fn create_memberships(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    use membership::Column as Membership;
    use membership_role::Column as Role;
    use organisation::Column as Organisation;
    use person::Column as Person;
    manager
        .create_table(
            Table::create()
                .table("people")
                .col(ColumnDef::new(Person::UserId).uuid().not_null().primary_key())
                .col(ColumnDef::new(Person::Email).string_len(254).not_null())
                .col(ColumnDef::new(Person::DisplayName).string_len(200).not_null())
                .to_owned(),
        )
        .await?;
    manager
        .create_table(
            Table::create()
                .table("memberships")
                .col(ColumnDef::new(Membership::SubjectId).uuid().not_null())
                .col(ColumnDef::new(Membership::OrganisationId).uuid().not_null())
                .col(ColumnDef::new(Membership::Id).uuid().not_null())
                .col(ColumnDef::new(Membership::CreatedAt).timestamp_with_time_zone().not_null())
                .primary_key(
                    Index::create().col(Membership::SubjectId).col(Membership::OrganisationId),
                )
                .foreign_key(
                    ForeignKey::create()
                        .from("memberships", Membership::OrganisationId)
                        .to("organisations", Organisation::Id),
                )
                .to_owned(),
        )
        .await?;
    // The members of an organisation, page by page.
    manager
        .create_index(
            Index::create()
                .unique()
                .name("memberships_organisation")
                .table("memberships")
                .col(Membership::OrganisationId)
                .col(Membership::Id)
                .to_owned(),
        )
        .await?;
    manager
        .create_table(
            Table::create()
                .table("membership_roles")
                .col(ColumnDef::new(Role::SubjectId).uuid().not_null())
                .col(ColumnDef::new(Role::OrganisationId).uuid().not_null())
                .col(ColumnDef::new("role").string_len(64).not_null())
                .primary_key(
                    Index::create().col(Role::SubjectId).col(Role::OrganisationId).col("role"),
                )
                .foreign_key(
                    ForeignKey::create()
                        .from_tbl("membership_roles")
                        .from_col(Role::SubjectId)
                        .from_col(Role::OrganisationId)
                        .to_tbl("memberships")
                        .to_col(Membership::SubjectId)
                        .to_col(Membership::OrganisationId)
                        .on_delete(ForeignKeyAction::Cascade),
                )
                .to_owned(),
        )
        .await
}

/// As the tables are now, not as the entities will be.
async fn plant_platform(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    use ancestor::Column as Ancestor;
    use organisation::Column as Organisation;
    let now = Clock::System.now();
    let platform = Query::insert()
        .into_table("organisations")
        .columns([
            Organisation::Id,
            Organisation::Depth,
            Organisation::DisplayName,
            Organisation::Version,
            Organisation::CreatedAt,
            Organisation::UpdatedAt,
        ])
        .values_panic([
            PLATFORM.into(),
            0.into(),
            "Platform".into(),
            1.into(),
            now.into(),
            now.into(),
        ])
        .to_owned();
    manager.execute(platform).await?;
    let itself = Query::insert()
        .into_table("organisation_ancestors")
        .columns([Ancestor::OrganisationId, Ancestor::AncestorId, Ancestor::Distance])
        .values_panic([PLATFORM.into(), PLATFORM.into(), 0.into()])
        .to_owned();
    manager.execute(itself).await
}
