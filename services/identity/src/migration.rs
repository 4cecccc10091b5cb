//! Migrations: they only expand, and contract in a later release.

use sea_orm_migration::{MigrationTrait, MigratorTrait};

mod m0002_accounts;

pub(crate) struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(db::migration::Messaging),
            Box::new(m0002_accounts::Accounts),
            Box::new(db::migration::Announcements),
            Box::new(db::migration::Order),
        ]
    }
}
