//! What a check and the pages of lists cost in an organisation with a thousand and in one with a
//! million memberships.

use anyhow::{Context as _, Result, ensure};
use sea_orm::{ConnectionTrait as _, Statement};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{
    listings::{Listing, listings},
    plans::{Plans, Query},
    population::Population,
    question::Page,
    report::{CheckTimes, Floor, ListingTimes, Report},
    stage::Stage,
    timing::Times,
};

const SMALL: u32 = 1_000;
const CHECKS: u32 = 2_000;
const PAGES: u32 = 100;
/// How often a call is made whose plans are asked for: PostgreSQL settles on the plan of a prepared
/// statement at its sixth time.
const EXPLAINED: u32 = 12;

/// A check: what, at which organisation, for which permission; whether it is allowed.
type Check = (&'static str, fn(&Population) -> &str, &'static str, bool);

const CHECKED: [Check; 4] = [
    ("at depth 1, allowed", |all| &all.root, "organisations.read", true),
    ("at depth 1, denied", |all| &all.root, "roles.manage", false),
    ("at depth 8, allowed", |all| &all.deepest, "organisations.read", true),
    ("at depth 8, denied", |all| &all.deepest, "roles.manage", false),
];

const EVERYWHERE: &str = "of a member of every child";

/// Measures, and prints the report.
pub async fn measure(members: u32) -> Result<()> {
    let (stage, plans) = Stage::set().await?;
    let small = stage.populate(1, SMALL).await?;
    progress(&format!("{SMALL} members"));
    let floor = stage.floor(&small).await?;
    let alone = stage.times(&small).await?;
    let large = stage.populate(2, members).await?;
    // Whoever came later: their invitations lie beyond all others.
    stage.populate(3, members / 5).await?;
    progress(&format!("{members} members"));
    let great = stage.times(&large).await?;
    progress(&format!("{SMALL} members beside them"));
    let beside = stage.times(&small).await?;
    let mut report = Report::new(floor, [&small, &large], [alone, great, beside]);
    if let Some(mut plans) = plans {
        progress("plans");
        stage.explain(&large, &mut plans, &mut report).await?;
    }
    print!("{report}");
    Ok(())
}

fn progress(what: &str) {
    eprintln!("bench: {what}");
}

/// What was measured of one population.
pub struct Measured {
    pub checks: Vec<CheckTimes>,
    pub listings: Vec<ListingTimes>,
}

impl Stage {
    /// What the machine can do at best.
    async fn floor(&self, population: &Population) -> Result<Floor> {
        let statement = Times::of(CHECKS, async |_| Ok(self.database.ping().await?)).await?;
        let health = HealthClient::new(self.channel.clone());
        let call = Times::of(CHECKS, async |_| {
            Ok(health.clone().check(HealthCheckRequest::default()).await?)
        });
        let database = self.connection();
        let rows = format!(
            "SELECT * FROM memberships WHERE organisation_id = '{}' ORDER BY id LIMIT 101",
            population.root
        );
        let rows = Statement::from_string(database.get_database_backend(), rows);
        let page =
            Times::of(CHECKS, async |_| Ok(database.query_all_raw(rows.clone()).await?)).await?;
        Ok(Floor { statement: statement.median(), call: call.await?.median(), page: page.median() })
    }

    async fn times(&self, population: &Population) -> Result<Measured> {
        let checker = self.checker().await;
        let mut checks = Vec::new();
        for (what, at, permission, allowed) in CHECKED {
            let times = Times::of(CHECKS, async |index| {
                let n = index * 7_919 % population.members + 1;
                let subject = population.person(n);
                let answer = self.check(&checker, subject, at(population), permission).await?;
                ensure!(answer == allowed || !population.is_plain(n), "{what}: {answer}");
                Ok(())
            });
            let times = times.await?;
            checks.push(CheckTimes { what, median: times.median(), most: times.at(99) });
        }
        let times = Times::of(CHECKS, async |index| {
            self.check_at_child(&checker, population, index % population.children + 1).await
        });
        let (what, times) = (EVERYWHERE, times.await?);
        checks.push(CheckTimes { what, median: times.median(), most: times.at(99) });
        let mut measured = Vec::new();
        for listing in listings(population) {
            progress(listing.what);
            measured.push(self.listing(population, &listing).await.unwrap_or_else(|error| {
                progress(&format!("{}: {error:#}", listing.what));
                ListingTimes::refused(listing.what)
            }));
        }
        Ok(Measured { checks, listings: measured })
    }

    async fn check_at_child(&self, checker: &str, all: &Population, n: u32) -> Result<()> {
        let subject = all.everywhere.clone();
        let allowed = self.check(checker, subject, &all.child(n), "organisations.read").await?;
        ensure!(allowed || all.is_archived(n), "{EVERYWHERE}: {n}");
        Ok(())
    }

    /// Walks to the last page of a list, then asks for the first and for the last page again and
    /// again.
    async fn listing(&self, population: &Population, listing: &Listing) -> Result<ListingTimes> {
        let (mut last, mut rows) = (String::new(), 0);
        loop {
            let page = self.page(population, listing, &last).await?;
            rows += page.rows;
            if page.next.is_empty() {
                break;
            }
            last = page.next;
        }
        let first = Times::of(PAGES, async |_| self.page(population, listing, "").await);
        let first = first.await?.median();
        let at_last = Times::of(PAGES, async |_| self.page(population, listing, &last).await);
        let what = listing.what;
        Ok(ListingTimes { what, rows, first, last: at_last.await?.median(), token: last })
    }

    async fn page(&self, population: &Population, listing: &Listing, token: &str) -> Result<Page> {
        let bearer = self.token(listing.asker, population.tag).await;
        let page = listing.question.ask(&self.channel, &bearer, token).await;
        page.with_context(|| listing.what)
    }

    /// Adds the plans of what a check and each first and last page asks.
    async fn explain(
        &self,
        population: &Population,
        plans: &mut Plans,
        report: &mut Report,
    ) -> Result<()> {
        let checker = self.checker().await;
        plans.begin(self.connection()).await?;
        for (what, at, permission, _) in CHECKED {
            plans.take(1)?;
            for n in 1..=EXPLAINED {
                self.check(&checker, population.person(n), at(population), permission).await?;
            }
            report.explain_check(what, plans.take(EXPLAINED)?);
        }
        plans.take(1)?;
        for n in 1..=EXPLAINED {
            self.check_at_child(&checker, population, n).await?;
        }
        report.explain_check(EVERYWHERE, plans.take(EXPLAINED)?);
        for (index, listing) in listings(population).into_iter().enumerate() {
            let token = report.last_page(index).to_owned();
            let mut both: [Vec<Query>; 2] = Default::default();
            for (queries, token) in both.iter_mut().zip(["", &token]) {
                plans.take(1)?;
                for _ in 0..EXPLAINED {
                    // One that is refused for taking too long has no plan to show.
                    let _ = self.page(population, &listing, token).await;
                }
                *queries = plans.take(EXPLAINED)?;
            }
            report.explain_listing(index, both);
        }
        Ok(())
    }
}
