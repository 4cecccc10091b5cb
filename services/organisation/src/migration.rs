//! Migrations: they only expand, and contract in a later release.

use sea_orm_migration::{MigrationTrait, MigratorTrait};

mod m0002_tree;
mod m0003_invitations;

pub(crate) struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(db::migration::Messaging),
            Box::new(m0002_tree::Tree),
            Box::new(m0003_invitations::Invitations),
            Box::new(db::migration::Announcements),
        ]
    }
}
