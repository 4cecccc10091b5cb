use sea_orm::DbErr;
use sea_orm_migration::prelude::*;

use super::{at, index};
use crate::entity::{application, application_access, membership, organisation, role};

/// Creates `applications` and who has access to them. New tables: it locks nothing that is in use.
pub(crate) struct Applications;

impl MigrationName for Applications {
    fn name(&self) -> &str {
        "m0006_applications"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Applications {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        use application::Column as Application;
        use application_access::Column as Access;
        let table = Table::create()
            .table("applications")
            .col(ColumnDef::new(Application::Id).uuid().not_null().primary_key())
            .col(ColumnDef::new(Application::OrganisationId).uuid().not_null())
            .col(ColumnDef::new(Application::DisplayName).string_len(200).not_null())
            .col(ColumnDef::new(Application::RedirectUrls).text().not_null())
            .col(ColumnDef::new(Application::CallbackHosts).text().not_null())
            .col(ColumnDef::new(Application::DefaultRoleId).uuid().not_null())
            .col(ColumnDef::new(Application::AssignOnInvite).boolean().not_null())
            .col(ColumnDef::new(Application::SecretGeneration).integer().not_null())
            .col(ColumnDef::new(Application::Version).integer().not_null())
            .col(at(Application::CreatedAt).not_null())
            .col(at(Application::UpdatedAt).not_null())
            .foreign_key(
                ForeignKey::create()
                    .name("applications_of_organisation")
                    .from("applications", Application::OrganisationId)
                    .to("organisations", organisation::Column::Id),
            )
            .foreign_key(
                ForeignKey::create()
                    .name("applications_default_role")
                    .from("applications", Application::DefaultRoleId)
                    .to("roles", role::Column::Id),
            )
            .to_owned();
        manager.create_table(table).await?;
        let page = index("applications_organisation", "applications")
            .col(Application::OrganisationId)
            .col(Application::Id)
            .take();
        manager.create_index(page).await?;
        let table = Table::create()
            .table("application_access")
            .col(ColumnDef::new(Access::SubjectId).uuid().not_null())
            .col(ColumnDef::new(Access::OrganisationId).uuid().not_null())
            .col(ColumnDef::new(Access::ApplicationId).uuid().not_null())
            .col(ColumnDef::new(Access::RoleId).uuid().not_null())
            .col(at(Access::CreatedAt).not_null())
            .primary_key(
                Index::create()
                    .name("application_access_held")
                    .col(Access::SubjectId)
                    .col(Access::OrganisationId)
                    .col(Access::ApplicationId)
                    .col(Access::RoleId),
            )
            // Whoever leaves an organisation leaves its applications.
            .foreign_key(
                ForeignKey::create()
                    .name("application_access_of_membership")
                    .from_tbl("application_access")
                    .from_col(Access::SubjectId)
                    .from_col(Access::OrganisationId)
                    .to_tbl("memberships")
                    .to_col(membership::Column::SubjectId)
                    .to_col(membership::Column::OrganisationId)
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .foreign_key(
                ForeignKey::create()
                    .name("application_access_of_application")
                    .from("application_access", Access::ApplicationId)
                    .to("applications", Application::Id)
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .foreign_key(
                ForeignKey::create()
                    .name("application_access_of_role")
                    .from("application_access", Access::RoleId)
                    .to("roles", role::Column::Id)
                    .on_delete(ForeignKeyAction::Restrict),
            )
            .to_owned();
        manager.create_table(table).await?;
        let users = index("application_access_users", "application_access")
            .col(Access::ApplicationId)
            .col(Access::OrganisationId)
            .col(Access::SubjectId)
            .take();
        manager.create_index(users).await?;
        let holders =
            index("application_access_role", "application_access").col(Access::RoleId).take();
        manager.create_index(holders).await
    }
}
