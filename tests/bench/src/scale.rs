//! What a check and the pages of lists cost at a thousand and at a million memberships.

use anyhow::{Context as _, Result};
use api::organisation::v1::{
    CheckPermissionRequest, ListMembershipsRequest, ListMembershipsResponse,
    membership_service_client::MembershipServiceClient,
    permission_service_client::PermissionServiceClient,
};
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection};
use service::RawSettings;
use stories::{Client, Platform};
use testkit::{servers, with_token};
use tonic::transport::Channel;
use tracing_subscriber::{
    EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::{
    plans::Plans,
    population::{person, populate},
    timing::Times,
};

const CALLS: usize = 2_000;
const PAGES: usize = 200;
const SMALL: u32 = 1_000;

/// One organisation and its people.
struct Population {
    organisation: String,
    tag: u8,
    count: u32,
}

struct Bench {
    owner: Client,
    checker: String,
    channel: Channel,
    database: DatabaseConnection,
    plans: Plans,
}

/// Measures, and prints a table and the plans.
pub async fn measure(members: u32) -> Result<()> {
    let plans = Plans::default();
    let notices = EnvFilter::new("off,sqlx::postgres::notice=trace");
    tracing_subscriber::registry().with(plans.clone().with_filter(notices)).init();
    let url = servers::postgres().await;
    let mut raw = RawSettings::default();
    raw.set("database_url", url.clone());
    let platform = Platform::embedded(raw, None).await;
    let owner = platform.owner().await;
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false).map_sqlx_postgres_opts(|options| {
        options.options([("search_path", "organisation"), ("synchronous_commit", "off")])
    });
    let database = Database::connect(options).await?;
    let mut populations = Vec::new();
    for (tag, count) in [(1, SMALL), (2, members)] {
        let root = owner.create_organisation(&format!("{count} people"), None).await;
        let organisation = owner.create_organisation("Below", Some(&root)).await;
        populate(&database, &organisation, tag, count).await?;
        populations.push(Population { organisation, tag, count });
    }
    let checker = platform.service_token("bench", &["permissions.check"]).await;
    let bench = Bench { owner, checker, channel: platform.organisation(), database, plans };

    let statement = bench.statement().await;
    println!("A round trip to the database (SELECT 1): {:.3} ms (median of {CALLS})\n", statement);
    println!("| measured | {} | {} | in round trips |", SMALL, members);
    println!("|---|---|---|---|");
    let mut rows: Vec<(&str, Vec<f64>)> = Vec::new();
    for population in &populations {
        for (index, (what, time)) in bench.times(population).await?.into_iter().enumerate() {
            if rows.len() <= index {
                rows.push((what, Vec::new()));
            }
            rows[index].1.push(time);
        }
    }
    for (what, times) in &rows {
        let last = times.last().copied().unwrap_or_default();
        let cells: Vec<_> = times.iter().map(|time| format!("{time:.3} ms")).collect();
        println!("| {what} | {} | {:.1} |", cells.join(" | "), last / statement);
    }
    bench.explain(&populations[1]).await
}

impl Bench {
    /// The shortest question that the database can be asked.
    async fn statement(&self) -> f64 {
        let times = Times::of(CALLS, async |_| self.database.execute_unprepared("SELECT 1").await);
        times.await.median()
    }

    async fn times(&self, population: &Population) -> Result<Vec<(&'static str, f64)>> {
        let allowed = Times::of(CALLS, async |index| {
            let step = u32::try_from(index).unwrap_or_default() * 7_919;
            self.check(population, step % population.count + 1, "organisations.read").await
        })
        .await;
        let denied = Times::of(CALLS, async |index| {
            let step = u32::try_from(index).unwrap_or_default() * 7_919;
            self.check(population, step % population.count + 1, "members.read").await
        })
        .await;
        let mut measured = vec![
            ("check, allowed, median", allowed.median()),
            ("check, allowed, 99 %", allowed.at(99)),
            ("check, denied, median", denied.median()),
        ];
        for (order, first, last) in [
            ("", "list by joining, first page", "list by joining, last page"),
            ("display_name", "list by name, first page", "list by name, last page"),
        ] {
            let token = self.last_page(population, order).await?;
            for (what, token) in [(first, String::new()), (last, token)] {
                let times = Times::of(PAGES, async |_| self.page(population, order, &token).await);
                measured.push((what, times.await.median()));
            }
        }
        Ok(measured)
    }

    async fn check(&self, population: &Population, number: u32, permission: &str) -> Result<bool> {
        let request = CheckPermissionRequest {
            subject_id: person(population.tag, number),
            organisation_id: population.organisation.clone(),
            permission: permission.to_owned(),
        };
        let mut permissions = PermissionServiceClient::new(self.channel.clone());
        let answer = permissions.check_permission(with_token(&self.checker, request)).await?;
        Ok(answer.into_inner().allowed)
    }

    async fn page(
        &self,
        population: &Population,
        order: &str,
        token: &str,
    ) -> Result<ListMembershipsResponse> {
        let request = ListMembershipsRequest {
            organisation_id: population.organisation.clone(),
            page_size: 100,
            page_token: token.to_owned(),
            order_by: order.to_owned(),
            ..Default::default()
        };
        let mut memberships = MembershipServiceClient::new(self.channel.clone());
        let answer = memberships.list_memberships(with_token(self.owner.token(), request)).await?;
        Ok(answer.into_inner())
    }

    /// Walks to the last page, and answers the token that asks for it.
    async fn last_page(&self, population: &Population, order: &str) -> Result<String> {
        let (mut token, mut seen) = (String::new(), 0);
        loop {
            let page = self.page(population, order, &token).await?;
            seen += page.memberships.len();
            if page.next_page_token.is_empty() {
                anyhow::ensure!(seen == population.count as usize, "{seen} members were listed");
                return Ok(token);
            }
            token = page.next_page_token;
        }
    }

    /// Prints the plans of what a check and a page ask.
    async fn explain(&self, population: &Population) -> Result<()> {
        let name = self.database.query_one_raw(sea_orm::Statement::from_string(
            sea_orm::DbBackend::Postgres,
            "SELECT current_database()",
        ));
        let name: String = name.await?.context("a database")?.try_get_by_index(0)?;
        for setting in [
            "session_preload_libraries = 'auto_explain'",
            "auto_explain.log_min_duration = 0",
            "auto_explain.log_analyze = on",
            "auto_explain.log_timing = off",
            "client_min_messages = log",
        ] {
            let statement = format!("ALTER DATABASE \"{name}\" SET {setting}");
            self.database.execute_unprepared(&statement).await?;
        }
        // Settings of a database hold for new connections: the old ones are ended.
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        self.database.execute_unprepared(end).await?;
        for _ in 0..20 {
            if self.check(population, 1, "organisations.read").await.is_ok() {
                break;
            }
        }
        self.plans.take();
        self.check(population, 4_711 % population.count + 1, "organisations.read").await?;
        self.print_plans("a check");
        for order in ["", "display_name"] {
            let token = self.last_page(population, order).await?;
            self.plans.take();
            self.page(population, order, &token).await?;
            self.print_plans(&format!("the last page, order {order:?}"));
        }
        Ok(())
    }

    fn print_plans(&self, what: &str) {
        println!("\nThe plans of {what}, at the larger number:\n");
        for plan in self.plans.take() {
            // Whatever else runs in the process (relay, timers) asks for other things.
            let chatter = ["outbox", "\"inbox\"", "audit_", "next_change_at", "expires_at\" <="];
            if chatter.iter().all(|word| !plan.contains(word)) || plan.contains("membership_roles")
            {
                println!("{plan}\n");
            }
        }
    }
}
