//! The plans of the queries that a call makes, as the database reports them in its log.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::PathBuf,
};

use anyhow::{Context as _, Result};
use sea_orm::{ConnectionTrait as _, DatabaseConnection};

/// The server's log, from a place on.
pub struct Plans {
    log: PathBuf,
    read: u64,
}

/// A query of the organisation service.
#[derive(Clone)]
pub struct Query {
    /// How often it was asked.
    pub count: u32,
    pub text: String,
    /// The plan of the last time.
    pub plan: String,
}

impl Query {
    /// The pages of tables and indexes that it looked at.
    pub fn blocks(&self) -> u64 {
        let total = self.plan.lines().find(|line| line.trim_start().starts_with("Buffers: shared"));
        let words = total.into_iter().flat_map(str::split_whitespace);
        let counts = words.filter_map(|word| word.split_once('='));
        let looked = counts.filter(|(kind, _)| matches!(*kind, "hit" | "read"));
        looked.filter_map(|(_, count)| count.parse::<u64>().ok()).sum()
    }

    /// The same for every plan of one shape, whatever its numbers.
    pub fn shape(&self) -> String {
        let nodes = self.plan.lines().filter_map(|line| line.split_once("  (cost="));
        nodes.map(|(node, _)| node).collect()
    }
}

impl Plans {
    /// Has the server ready to report plans. It must be a private server whose log this process can
    /// read: the settings are the server's. Nothing if the log is not known.
    pub async fn prepare(database: &DatabaseConnection) -> Result<Option<Self>> {
        let Some(log) = std::env::var_os("USHER_TEST_POSTGRES_LOG") else { return Ok(None) };
        set(database, "session_preload_libraries = 'auto_explain'").await?;
        Ok(Some(Self { log: log.into(), read: 0 }))
    }

    /// From now on every plan is reported, with the pages that it looks at.
    pub async fn begin(&mut self, database: &DatabaseConnection) -> Result<()> {
        // Its settings are known to the server once it is loaded.
        database.execute_unprepared("LOAD 'auto_explain'").await?;
        for setting in [
            "log_line_prefix = '[%a] '",
            "auto_explain.log_analyze = on",
            "auto_explain.log_buffers = on",
            "auto_explain.log_timing = off",
            "auto_explain.log_min_duration = 0",
        ] {
            set(database, setting).await?;
        }
        Ok(())
    }

    /// The queries of the organisation service since the last time, the most frequent of them alone
    /// if `least` is more than one: timers ask something now and then, too.
    pub fn take(&mut self, least: u32) -> Result<Vec<Query>> {
        let mut file = File::open(&self.log).context("the log of the server")?;
        file.seek(SeekFrom::Start(self.read))?;
        let mut added = Vec::new();
        self.read += u64::try_from(file.read_to_end(&mut added)?)?;
        let mut queries = BTreeMap::<String, Query>::new();
        for entry in String::from_utf8_lossy(&added).split("\n[") {
            let Some((text, plan)) = reported(entry) else { continue };
            let query = queries.entry(text.clone()).or_insert(Query {
                count: 0,
                text,
                plan: String::new(),
            });
            query.count += 1;
            query.plan = plan;
        }
        Ok(queries.into_values().filter(|query| query.count >= least).collect())
    }
}

/// A query and its plan, if an entry of the log reports one of the organisation service.
fn reported(entry: &str) -> Option<(String, String)> {
    let (head, rest) = entry.split_once("Query Text: ")?;
    let of_service = head.trim_start_matches('[').starts_with("usher-organisation]");
    let (text, plan) = rest.split_once('\n')?;
    let plan = plan.lines().map(|line| line.strip_prefix('\t').unwrap_or(line));
    of_service.then(|| (text.to_owned(), plan.collect::<Vec<_>>().join("\n")))
}

async fn set(database: &DatabaseConnection, setting: &str) -> Result<()> {
    database.execute_unprepared(&format!("ALTER SYSTEM SET {setting}")).await?;
    database.execute_unprepared("SELECT pg_reload_conf()").await?;
    Ok(())
}
