//! What is printed at the end.

use std::{
    collections::BTreeSet,
    fmt::{Display, Formatter, Result},
};

use crate::{plans::Query, population::Population, scale::Measured};

/// What the machine can do at best, in milliseconds.
pub struct Floor {
    /// The shortest question to the database and its answer.
    pub statement: f64,
    /// The shortest call over gRPC, which asks no database.
    pub call: f64,
    /// As many memberships as a page has, straight from the database.
    pub page: f64,
}

/// How long checks took, in milliseconds.
pub struct CheckTimes {
    pub what: &'static str,
    pub median: f64,
    /// 99 of 100 were faster.
    pub most: f64,
}

/// How long the pages of a list took, in milliseconds.
pub struct ListingTimes {
    pub what: &'static str,
    pub rows: usize,
    pub first: f64,
    pub last: f64,
    /// Of the last page.
    pub token: String,
}

impl ListingTimes {
    /// Of a list that was not answered in time.
    pub fn refused(what: &'static str) -> Self {
        Self { what, rows: 0, first: f64::INFINITY, last: f64::INFINITY, token: String::new() }
    }
}

/// All that was measured.
pub struct Report {
    floor: Floor,
    sizes: [u32; 2],
    /// The small population alone, the large one, and the small one beside it.
    measured: [Measured; 3],
    checks: Vec<(&'static str, Vec<Query>)>,
    listings: Vec<[Vec<Query>; 2]>,
}

impl Report {
    pub fn new(floor: Floor, of: [&Population; 2], measured: [Measured; 3]) -> Self {
        let sizes = of.map(|population| population.members);
        Self { floor, sizes, measured, checks: Vec::new(), listings: Vec::new() }
    }

    /// The token of the last page of a list of the large population.
    pub fn last_page(&self, index: usize) -> &str {
        &self.measured[1].listings[index].token
    }

    pub fn explain_check(&mut self, what: &'static str, queries: Vec<Query>) {
        self.checks.push((what, queries));
    }

    /// The queries of the first and of the last page of the list with this number.
    pub fn explain_listing(&mut self, index: usize, queries: [Vec<Query>; 2]) {
        debug_assert_eq!(index, self.listings.len(), "one list after the other");
        self.listings.push(queries);
    }

    fn fmt_checks(&self, f: &mut Formatter<'_>) -> Result {
        let [small, large] = self.sizes;
        writeln!(f, "## Checks\n")?;
        writeln!(f, "Median and 99th percentile in ms.\n")?;
        writeln!(
            f,
            "| a check | of {small} | of {large} | of {small} beside | in round trips | blocks |"
        )?;
        writeln!(f, "|---|--:|--:|--:|--:|--:|")?;
        let [alone, great, beside] = &self.measured;
        for (index, check) in great.checks.iter().enumerate() {
            let cell = |it: &CheckTimes| format!("{:.2}, {:.2}", it.median, it.most);
            let blocks = self.checks.get(index).map(|(_, queries)| blocks(queries));
            writeln!(
                f,
                "| {} | {} | {} | {} | {:.1} | {} |",
                check.what,
                cell(&alone.checks[index]),
                cell(check),
                cell(&beside.checks[index]),
                check.median / self.floor.statement,
                blocks.unwrap_or_default(),
            )?;
        }
        Ok(())
    }

    fn fmt_listings(&self, f: &mut Formatter<'_>) -> Result {
        let [small, large] = self.sizes;
        writeln!(f, "\n## Lists\n")?;
        writeln!(
            f,
            "Medians in ms of the first and of the last page, which have 100 rows at most (1000 of \
             what is permitted); `inf` is what was not answered in time. Blocks and queries are \
             those of {large}. Beside them there is a third root, younger, with a fifth of each.\n"
        )?;
        writeln!(
            f,
            "| list | rows of {small} | first | last | beside: first | last | rows of {large} | \
             first | last | in round trips | blocks: first | last | queries |"
        )?;
        writeln!(f, "|---{}|", "|--:".repeat(12))?;
        let [alone, great, beside] = &self.measured;
        for (index, list) in great.listings.iter().enumerate() {
            let (alone, beside) = (&alone.listings[index], &beside.listings[index]);
            let worse = list.first.max(list.last) / self.floor.statement;
            write!(
                f,
                "| {} | {} | {:.2} | {:.2} ",
                list.what, alone.rows, alone.first, alone.last
            )?;
            write!(f, "| {:.2} | {:.2} | {} ", beside.first, beside.last, list.rows)?;
            write!(f, "| {:.2} | {:.2} | {worse:.0} ", list.first, list.last)?;
            match self.listings.get(index) {
                Some([first, last]) => {
                    let count = first.len().max(last.len());
                    writeln!(f, "| {} | {} | {count} |", blocks(first), blocks(last))?;
                }
                None => writeln!(f, "| | | |")?,
            }
        }
        Ok(())
    }

    /// Each plan once: a list that asks what another one asks in the same way is not told again.
    fn fmt_plans(&self, f: &mut Formatter<'_>) -> Result {
        let mut told = BTreeSet::new();
        let lists = self.listings.iter().zip(&self.measured[1].listings);
        let lists = lists.flat_map(|([first, last], list)| {
            [
                (format!("{}, first page", list.what), first),
                (format!("{}, last page", list.what), last),
            ]
        });
        let checks = self.checks.iter().map(|(what, queries)| (format!("check {what}"), queries));
        for (what, queries) in checks.chain(lists) {
            let fresh: Vec<_> = queries
                .iter()
                .filter(|query| told.insert((query.text.clone(), query.shape())))
                .collect();
            if fresh.is_empty() {
                continue;
            }
            writeln!(f, "\n### {what}\n")?;
            for query in fresh {
                writeln!(f, "```text\n{}\n\n{}\n```", shortened(&query.text), query.plan)?;
            }
        }
        Ok(())
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Floor { statement, call, page } = self.floor;
        writeln!(f, "## What the machine can do\n")?;
        writeln!(f, "| | ms |\n|---|--:|")?;
        writeln!(f, "| a round trip to the database (`SELECT 1`) | {statement:.3} |")?;
        writeln!(f, "| 101 rows of `memberships`, straight from the database | {page:.3} |")?;
        writeln!(f, "| a gRPC call that asks no database (health) | {call:.3} |\n")?;
        self.fmt_checks(f)?;
        self.fmt_listings(f)?;
        if !self.checks.is_empty() {
            writeln!(f, "\n## Plans at {}", self.sizes[1])?;
        }
        self.fmt_plans(f)
    }
}

fn blocks(queries: &[Query]) -> u64 {
    queries.iter().map(Query::blocks).sum()
}

/// A query without the columns that it selects.
fn shortened(text: &str) -> String {
    match text.split_once(" FROM ") {
        Some((_, rest)) => format!("SELECT … FROM {rest}"),
        None => text.to_owned(),
    }
}
