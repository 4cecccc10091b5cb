//! Migrations: they only expand, and contract in a later release.

use sea_orm::DbErr;
use sea_orm_migration::{MigrationTrait, MigratorTrait, SchemaManager, prelude::*};

mod m0002_tree;
mod m0003_invitations;
mod m0004_roles;
mod m0005_tree_in_full;
mod m0006_applications;
mod m0007_invitations_in_full;
mod m0008_access_requests;
mod m0009_audit;
mod m0010_audit_lists;
mod m0011_application_references;
mod m0012_organisations_by_name;
mod m0013_members_found;
mod m0014_invitations_by_filter;
mod m0015_delivery_state;
mod m0016_memberships_by_key;

pub(crate) struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(db::migration::Messaging),
            Box::new(m0002_tree::Tree),
            Box::new(m0003_invitations::Invitations),
            Box::new(db::migration::Announcements),
            Box::new(db::migration::Requests),
            Box::new(m0004_roles::RolesAsRows),
            Box::new(m0005_tree_in_full::TreeInFull),
            Box::new(m0006_applications::Applications),
            Box::new(m0007_invitations_in_full::InvitationsInFull),
            Box::new(m0008_access_requests::AccessRequests),
            Box::new(m0009_audit::Audit),
            Box::new(m0010_audit_lists::AuditLists),
            Box::new(m0011_application_references::ApplicationReferences),
            Box::new(m0012_organisations_by_name::OrganisationsByName),
            Box::new(m0013_members_found::MembersFound),
            Box::new(m0014_invitations_by_filter::InvitationsByFilter),
            Box::new(m0016_memberships_by_key::MembershipsByKey),
            Box::new(db::migration::Order),
            Box::new(m0015_delivery_state::DeliveryState),
            Box::new(db::migration::Attempts),
        ]
    }
}

/// A column for a moment.
fn at(column: impl IntoIden) -> ColumnDef {
    ColumnDef::new(column).timestamp_with_time_zone().to_owned()
}

fn index(name: &str, table: &'static str) -> IndexCreateStatement {
    Index::create().name(name).table(table).to_owned()
}

/// One statement a column, which is what SQLite can do.
async fn add_columns<'a>(
    manager: &SchemaManager<'_>,
    table: &'static str,
    columns: impl IntoIterator<Item = &'a mut ColumnDef>,
) -> Result<(), DbErr> {
    for column in columns {
        manager.alter_table(Table::alter().table(table).add_column(column).to_owned()).await?;
    }
    Ok(())
}
