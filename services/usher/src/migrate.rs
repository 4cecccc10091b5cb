//! `usher migrate`.

use std::path::PathBuf;

use kernel::Clock;
use service::{Infra, RawSettings, Role, Settings};

/// Creates or updates the tables of every service.
pub async fn migrate(config: Option<PathBuf>) -> anyhow::Result<()> {
    let raw = RawSettings::load(config.as_deref())?;
    let settings = Settings::parse(&raw, Role::Migrate)?;
    let infra = Infra::open(settings, Clock::System)?;
    report("identity", identity::migrate(&infra).await?);
    report("organisation", organisation::migrate(&infra).await?);
    report("notification", notification::migrate(&infra).await?);
    Ok(())
}

fn report(service: &str, applied: usize) {
    match applied {
        0 => println!("{service}: up to date"),
        1 => println!("{service}: 1 migration applied"),
        _ => println!("{service}: {applied} migrations applied"),
    }
}
