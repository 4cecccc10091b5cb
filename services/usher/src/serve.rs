//! `usher serve`.

use std::{path::PathBuf, time::Duration};

use kernel::Clock;
use secrecy::ExposeSecret as _;
use service::{Infra, Listeners, Module, RawSettings, Role, Settings, Telemetry};
use tokio_util::sync::CancellationToken;

/// Runs one service until it is told to stop.
pub async fn serve(role: Role, config: Option<PathBuf>) -> anyhow::Result<()> {
    let raw = RawSettings::load(config.as_deref())?;
    let settings = Settings::parse(&raw, role)?;
    let telemetry = Telemetry::start(&settings)?;
    let stop = service::stop_on_signal()?;
    let listeners = listeners(&settings).await?;
    let infra = Infra::open(settings, Clock::System)?;
    tracing::info!(service = role.name(), "starting");
    let outcome = match build_when_possible(role, &infra, &stop).await? {
        Some(module) => {
            service::run(infra, vec![module], listeners, telemetry.registry(), stop).await
        }
        None => Ok(()),
    };
    telemetry.stop();
    outcome
}

/// Builds the service; as long as its database is away it waits, so that the order in which a
/// platform's parts start does not matter. `None` if it was told to stop first.
async fn build_when_possible(
    role: Role,
    infra: &Infra,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Module>> {
    while !stop.is_cancelled() {
        match build(role, infra).await {
            Ok(module) => return Ok(Some(module)),
            Err(error) if error.downcast_ref().is_some_and(db::is_unavailable) => {
                tracing::warn!(%error, "waiting for the database");
                let _ = tokio::time::timeout(Duration::from_secs(1), stop.cancelled()).await;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

async fn listeners(settings: &Settings) -> anyhow::Result<Listeners> {
    let management = Listeners::bind(settings.management_listen).await?;
    let modules = match settings.role {
        // It only listens to the bus.
        Role::Mailer => Vec::new(),
        role => vec![(role.name(), Listeners::bind(settings.listen).await?)],
    };
    Ok(Listeners { modules, management })
}

async fn build(role: Role, infra: &Infra) -> anyhow::Result<Module> {
    match role {
        Role::Identity => {
            let (module, owner) = identity::build(infra).await?;
            if let Some(password) = owner.generated_password {
                println!("The platform owner is {}", owner.email);
                println!("Password, shown this once: {}", password.expose_secret());
            }
            Ok(module)
        }
        Role::Organisation => organisation::build(infra).await,
        Role::Notification => notification::build(infra).await,
        Role::Mailer => mailer::build(infra),
        Role::Gateway => gateway::build(infra),
        Role::AllInOne | Role::Migrate => anyhow::bail!("{} is not one service", role.name()),
    }
}
