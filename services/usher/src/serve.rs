//! `usher serve`.

use std::path::PathBuf;

use bus::RetrySteps;
use kernel::Clock;
use secrecy::ExposeSecret as _;
use service::{Infra, Listeners, Module, RawSettings, Role, Settings, Telemetry};

/// Runs one service until it is told to stop.
pub async fn serve(role: Role, config: Option<PathBuf>) -> anyhow::Result<()> {
    let raw = RawSettings::load(config.as_deref())?;
    let settings = Settings::parse(&raw, role)?;
    let telemetry = Telemetry::start(&settings)?;
    let stop = service::stop_on_signal()?;
    let listeners = listeners(&settings).await?;
    let infra = Infra::open(settings, Clock::System, RetrySteps::default())?;
    let module = build(role, &infra).await?;
    tracing::info!(service = role.name(), "starting");
    let outcome = service::run(infra, vec![module], listeners, telemetry.registry(), stop).await;
    telemetry.stop();
    outcome
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
