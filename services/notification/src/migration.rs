//! Migrations, in the order of their application. Each says how long it locks.

mod m0002_deliveries;
mod m0003_access_requests;
mod m0004_delivery_history;
mod m0005_suppressions;
mod m0006_templates;
mod m0007_dead_letters;
mod m0008_overdue;
mod m0009_states;

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
            Box::new(m0004_delivery_history::DeliveryHistory),
            Box::new(m0005_suppressions::Suppressions),
            Box::new(m0006_templates::Templates),
            Box::new(m0007_dead_letters::DeadLetters),
            Box::new(m0008_overdue::Overdue),
            Box::new(m0009_states::States),
        ]
    }
}
