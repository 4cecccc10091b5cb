use kernel::Clock;
use sea_orm::{DbErr, EntityTrait as _, IntoActiveModel as _};
use sea_orm_migration::prelude::*;

use super::{add_columns, at, index};
use crate::{
    domain::role::BuiltIn,
    entity::{membership, membership_role, organisation::PLATFORM, person, role},
};

/// Creates `roles` with the built-in ones, and keeps roles held by their identifiers; memberships
/// get a state, a time and a version.
///
/// It locks `memberships` and `membership_roles` for as long as the latter takes to be copied. A
/// service of the version before cannot run beside it: there was no release before this one.
pub(crate) struct RolesAsRows;

impl MigrationName for RolesAsRows {
    fn name(&self) -> &str {
        "m0004_roles"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for RolesAsRows {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        create_roles(manager).await?;
        rebuild_roles_held(manager).await?;
        extend_memberships(manager).await
    }
}

async fn create_roles(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    use role::Column as Role;
    let table = Table::create()
        .table("roles")
        .col(ColumnDef::new(Role::Id).uuid().not_null().primary_key())
        .col(ColumnDef::new(Role::OwnerId).uuid().not_null())
        .col(ColumnDef::new(Role::IsApplicationRole).boolean().not_null())
        .col(ColumnDef::new(Role::Key).string_len(64).not_null())
        .col(ColumnDef::new(Role::FoldedKey).string_len(64).not_null())
        .col(ColumnDef::new(Role::DisplayName).string_len(200).not_null())
        .col(ColumnDef::new(Role::Permissions).big_integer().not_null())
        .col(ColumnDef::new(Role::Invitable).boolean().not_null())
        .col(ColumnDef::new(Role::Version).integer().not_null())
        .col(at(Role::CreatedAt).not_null())
        .col(at(Role::UpdatedAt).not_null())
        .to_owned();
    manager.create_table(table).await?;
    let key = index("roles_key", "roles").col(Role::OwnerId).col(Role::FoldedKey).unique().take();
    manager.create_index(key).await?;
    let page = index("roles_owner", "roles").col(Role::OwnerId).col(Role::Id).take();
    manager.create_index(page).await?;
    let now = Clock::System.now();
    let rows = BuiltIn::ALL.map(|built_in| {
        let row = role::Model {
            id: built_in.id(),
            owner_id: PLATFORM,
            is_application_role: false,
            key: built_in.key().to_owned(),
            folded_key: built_in.key().to_owned(),
            display_name: built_in.key().to_owned(),
            // What a built-in role allows is told by the code, so that it comes with a version.
            permissions: 0,
            invitable: built_in.role().invitable,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        row.into_active_model()
    });
    let connection = manager.get_connection();
    role::Entity::insert_many(rows).exec_without_returning(connection).await.map(|_| ())
}

async fn rebuild_roles_held(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    use membership::Column as Membership;
    use membership_role::Column as Held;
    let rename = Table::rename().table("membership_roles", "membership_roles_by_key").to_owned();
    manager.rename_table(rename).await?;
    let table = Table::create()
        .table("membership_roles")
        .col(ColumnDef::new(Held::SubjectId).uuid().not_null())
        .col(ColumnDef::new(Held::OrganisationId).uuid().not_null())
        .col(ColumnDef::new(Held::RoleId).uuid().not_null())
        .primary_key(
            Index::create()
                .name("membership_roles_held")
                .col(Held::SubjectId)
                .col(Held::OrganisationId)
                .col(Held::RoleId),
        )
        .foreign_key(
            ForeignKey::create()
                .name("membership_roles_of_membership")
                .from_tbl("membership_roles")
                .from_col(Held::SubjectId)
                .from_col(Held::OrganisationId)
                .to_tbl("memberships")
                .to_col(Membership::SubjectId)
                .to_col(Membership::OrganisationId)
                .on_delete(ForeignKeyAction::Cascade),
        )
        // A role is not deleted while it is held.
        .foreign_key(
            ForeignKey::create()
                .name("membership_roles_of_role")
                .from("membership_roles", Held::RoleId)
                .to("roles", role::Column::Id)
                .on_delete(ForeignKeyAction::Restrict),
        )
        .to_owned();
    manager.create_table(table).await?;
    // Who holds a role, at one organisation or at all.
    let holders = index("membership_roles_holders", "membership_roles")
        .col(Held::RoleId)
        .col(Held::OrganisationId)
        .take();
    manager.create_index(holders).await?;
    let ids = Query::select()
        .column(("membership_roles_by_key", "subject_id"))
        .column(("membership_roles_by_key", "organisation_id"))
        .column(("roles", role::Column::Id))
        .from("membership_roles_by_key")
        .inner_join(
            "roles",
            Expr::col(("roles", role::Column::Key)).equals(("membership_roles_by_key", "role")),
        )
        .to_owned();
    let copy = Query::insert()
        .into_table("membership_roles")
        .columns([Held::SubjectId, Held::OrganisationId, Held::RoleId])
        .select_from(ids)
        .map_err(|error| DbErr::Custom(error.to_string()))?
        .to_owned();
    manager.execute(copy).await?;
    manager.drop_table(Table::drop().table("membership_roles_by_key").to_owned()).await
}

async fn extend_memberships(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    use membership::Column as Membership;
    use person::Column as Person;
    add_columns(
        manager,
        "memberships",
        [
            ColumnDef::new(Membership::State).string_len(16).not_null().default("active"),
            ColumnDef::new(Membership::IsServiceAccount).boolean().not_null().default(false),
            &mut at(Membership::ValidFrom),
            &mut at(Membership::ExpiresAt),
            &mut at(Membership::NextChangeAt),
            ColumnDef::new(Membership::SearchName).blob().not_null().default(""),
            ColumnDef::new(Membership::Version).integer().not_null().default(1),
        ],
    )
    .await?;
    // The members of an organisation by name, page by page.
    let by_name = index("memberships_name", "memberships")
        .col(Membership::OrganisationId)
        .col(Membership::SearchName)
        .col(Membership::Id)
        .take();
    manager.create_index(by_name).await?;
    // A subject's memberships, page by page.
    let own = index("memberships_subject", "memberships")
        .col(Membership::SubjectId)
        .col(Membership::Id)
        .take();
    manager.create_index(own).await?;
    // What begins or ends next.
    let due = index("memberships_due", "memberships")
        .col(Membership::NextChangeAt)
        .and_where(Expr::col(Membership::NextChangeAt).is_not_null())
        .take();
    manager.create_index(due).await?;
    manager.create_index(index("people_email", "people").col(Person::Email).take()).await
}
