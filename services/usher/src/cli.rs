//! What can be typed.

use std::{fmt::Write as _, io::BufWriter, net::SocketAddr, path::PathBuf};

use clap::{Parser, Subcommand, ValueEnum};
use service::{Role, SETTINGS};

use crate::{
    client::{
        self, AuditCommand, DeadLettersCommand, DeliveriesCommand, InvitationsCommand,
        OutboxCommand, SendersCommand, TemplatesCommand,
    },
    demo, migrate, serve, up,
};

/// Usher: someone entitled to do so invites a person into an organisation; exactly one mail goes
/// out; the person enrols and is a member with exactly the rights offered.
///
/// New here? `usher demo` tells the story in a few seconds. `usher up` lets you play it yourself.
#[derive(Parser)]
#[command(version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything in this process, on a folder: no servers needed.
    ///
    /// Every service runs on embedded parts: SQLite, an in-process bus and cache, and a mailbox
    /// that a browser can read. It prints where to go and how to sign in. The data stay in the
    /// folder and survive a restart. Stop with Ctrl-C.
    Up {
        /// The folder that holds the data; created if missing.
        #[arg(long, default_value = "usher-data")]
        data_dir: PathBuf,
        /// Where pages and REST are served.
        #[arg(long, default_value = "127.0.0.1:8080")]
        http: SocketAddr,
        /// The first of three ports for gRPC: identity, organisation, notification. 0 takes free ones.
        #[arg(long, default_value_t = 50051)]
        grpc_port: u16,
        /// Where /livez, /readyz and /metrics are served.
        #[arg(long, default_value = "127.0.0.1:9464")]
        management: SocketAddr,
    },
    /// Tell the main story step by step, on a temporary folder and free ports.
    ///
    /// It drives what everybody can reach, HTTP and gRPC, and exits with 1 at the first step that
    /// does not do what it should.
    Demo,
    /// Run one service on real servers, as in production.
    #[command(after_long_help = settings_help())]
    Serve {
        /// Which service.
        service: Service,
        /// A TOML file with settings; the environment goes over it.
        #[arg(long, env = "USHER_CONFIG")]
        config: Option<PathBuf>,
    },
    /// Create or update the tables of every service, under a lock of the database.
    ///
    /// A step of its own, before new versions of the services start. Running it twice is once.
    Migrate {
        /// A TOML file with settings; the environment goes over it.
        #[arg(long, env = "USHER_CONFIG")]
        config: Option<PathBuf>,
    },
    /// Read the history of what was done and refused, and verify that it is whole.
    Audit {
        #[command(flatten)]
        options: client::Options,
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// See what consumers gave up, and hand it out again or give it up for good.
    DeadLetters {
        #[command(flatten)]
        options: client::Options,
        #[command(subcommand)]
        command: DeadLettersCommand,
    },
    /// See what was mailed to whom and what became of it, and send it once more.
    Deliveries {
        #[command(flatten)]
        options: client::Options,
        #[command(subcommand)]
        command: DeliveriesCommand,
    },
    /// See what waits to leave each service, and mend what is stuck.
    Outbox {
        #[command(flatten)]
        options: client::Options,
        #[command(subcommand)]
        command: OutboxCommand,
    },
    /// See whom the mails of an organisation come from, and say so.
    Senders {
        #[command(flatten)]
        options: client::Options,
        #[command(subcommand)]
        command: SendersCommand,
    },
    /// See what mails say, try other words and override them.
    Templates {
        #[command(flatten)]
        options: client::Options,
        #[command(subcommand)]
        command: TemplatesCommand,
    },
    /// Invite people, one or many from a file, and look after their invitations.
    Invitations {
        #[command(flatten)]
        options: client::Options,
        #[command(subcommand)]
        command: InvitationsCommand,
    },
}

/// A service that can run by itself.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Service {
    /// Who exists: users, sessions, service accounts.
    Identity,
    /// Where people belong and what they may do.
    Organisation,
    /// What was mailed, and what mails say.
    Notification,
    /// Sends the mails.
    Mailer,
    /// REST and pages.
    Gateway,
}

impl From<Service> for Role {
    fn from(service: Service) -> Self {
        match service {
            Service::Identity => Self::Identity,
            Service::Organisation => Self::Organisation,
            Service::Notification => Self::Notification,
            Service::Mailer => Self::Mailer,
            Service::Gateway => Self::Gateway,
        }
    }
}

impl Cli {
    /// Does what was typed.
    pub async fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Up { data_dir, http, grpc_port, management } => {
                up::up(&data_dir, http, grpc_port, management).await
            }
            Command::Demo => demo::demo().await,
            Command::Serve { service, config } => serve::serve(service.into(), config).await,
            Command::Migrate { config } => migrate::migrate(config).await,
            Command::Audit { options, command } => {
                command.run(&options, &mut BufWriter::new(std::io::stdout())).await
            }
            Command::DeadLetters { options, command } => {
                command.run(&options, &mut std::io::stdout()).await
            }
            Command::Deliveries { options, command } => {
                command.run(&options, &mut std::io::stdout()).await
            }
            Command::Outbox { options, command } => {
                command.run(&options, &mut std::io::stdout()).await
            }
            Command::Senders { options, command } => {
                command.run(&options, &mut std::io::stdout()).await
            }
            Command::Templates { options, command } => {
                command.run(&options, &mut std::io::stdout()).await
            }
            Command::Invitations { options, command } => {
                command.run(&options, &mut std::io::stdout()).await
            }
        }
    }
}

/// The settings, from their one table.
fn settings_help() -> String {
    let mut help = "Settings (environment variables; lower case and without USHER_ in the file; \
                    secrets also as USHER_…_FILE, the name of a file that holds them):\n"
        .to_owned();
    for setting in SETTINGS {
        let name = setting.name.to_uppercase();
        let default = match setting.default {
            "" => String::new(),
            default => format!(" [default: {default}]"),
        };
        let _ = write!(
            help,
            "\n  USHER_{name}{default}\n      {}\n      expected: {}\n",
            setting.about, setting.expected
        );
    }
    help
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// The rows of the README's table.
    fn rows() -> Vec<String> {
        let row = |setting: &service::Setting| {
            let mark = if setting.secret { " \u{25cf}" } else { "" };
            let default = match setting.default {
                "" => String::new(),
                default => format!("`{default}`"),
            };
            let name = setting.name.to_uppercase();
            let (expected, about) = (setting.expected, setting.about);
            format!("| `USHER_{name}`{mark} | {default} | {expected} | {about} |")
        };
        SETTINGS.iter().map(row).collect()
    }

    #[test]
    fn the_readme_lists_every_setting() {
        let readme = include_str!("../../../README.md");
        let missing: Vec<_> = rows().into_iter().filter(|row| !readme.contains(row)).collect();
        assert!(missing.is_empty(), "README.md lacks:\n{}", missing.join("\n"));
    }

    #[test]
    fn the_file_to_start_from_is_right_for_every_service() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/usher.toml");
        for service in Service::value_variants() {
            let raw = service::RawSettings::load(Some(&file)).unwrap();
            let settings = service::Settings::parse(&raw, (*service).into());
            assert!(settings.is_ok(), "{service:?}: {}", settings.unwrap_err());
        }
    }

    #[test]
    fn client_verbs_take_their_options_before_and_after() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        let head = format!("7:{}", "0".repeat(64));
        for right in [
            "audit list",
            "audit --output json list --refused --limit 7 --email ada@example.com",
            "audit list --since 2026-01-31T12:00:00Z --until 2026-02-01T00:00:00+01:00",
            &format!(
                "audit list --organisation {id} --actor {id} --action invitations. --account portal"
            ),
            "audit export --server http://organisation:50052 --identity http://identity:50051",
            &format!("audit verify --file history.jsonl --head {head} --output json"),
            &format!(
                "invitations import people.csv --organisation {id} --dry-run --results out.csv"
            ),
            &format!(
                "invitations create ada@example.com --organisation {id} --role user --role teacher"
            ),
            &format!("invitations list --organisation {id} --state pending --recursive"),
            &format!("invitations revoke {id}"),
            &format!("invitations reissue {id} --output table"),
            "dead-letters list --queue mailer.invitations --state replayed --limit 7",
            &format!("dead-letters show {id}"),
            &format!("dead-letters replay {id} {id}"),
            "dead-letters replay --all --queue mailer.invitations",
            &format!("dead-letters discard {id} --output json"),
            &format!("deliveries list --organisation {id} --invitation {id} --state failed"),
            "deliveries list --state failed --limit 7",
            &format!("deliveries show {id} --output json"),
            &format!("deliveries resend {id} {id} --force"),
            "outbox status --notification http://notification:50053",
            &format!("outbox retry --event {id}"),
        ] {
            let words = format!("usher {right}");
            let parsed = Cli::try_parse_from(words.split(' '));
            assert!(parsed.is_ok(), "{right}: {}", parsed.err().unwrap());
        }
        for wrong in [
            "audit",
            "audit list --limit 0",
            "audit list --since yesterday",
            "audit list --email ada@example.com --account portal",
            "audit verify --head 7:abc",
            "audit list --output yaml",
            "invitations import people.csv",
            "dead-letters replay",
            &format!("dead-letters discard {id} --all"),
            "dead-letters list --state lost",
            "deliveries list --state lost",
            "deliveries resend",
            "outbox",
            "invitations list --organisation x --state lost",
        ] {
            let words = format!("usher {wrong}");
            let refused = Cli::try_parse_from(words.split(' ')).err();
            assert_eq!(refused.map(|refused| refused.exit_code()), Some(2), "{wrong}");
        }
    }

    #[test]
    fn the_help_of_serve_names_every_setting() {
        let help = settings_help();
        assert!(SETTINGS.iter().all(|setting| help.contains(&setting.name.to_uppercase())));
    }
}
