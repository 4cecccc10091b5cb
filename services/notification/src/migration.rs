//! Migrations, in the order of their application. Each says how long it locks.

mod m0002_deliveries;
mod m0003_access_requests;

use sea_orm_migration::{MigrationTrait, MigratorTrait};

pub(crate) struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(db::migration::Messaging),
            Box::new(m0002_deliveries::Deliveries),
            Box::new(db::migration::Announcements),
            Box::new(m0003_access_requests::AccessRequests),
            Box::new(db::migration::Order),
        ]
    }
}
