use std::{fs::File, io, path::PathBuf};

use anyhow::Context as _;
use api::organisation::v1::{
    ImportInvitationsRequest, ImportInvitationsResponse, ImportOutcome,
    invitation_service_client::InvitationServiceClient,
};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::{sync::mpsc, task};
use tokio_stream::wrappers::ReceiverStream;

use super::{
    super::{
        output::{Out, Output, Table, json_line, plain},
        refusal::told,
        session::Session,
    },
    rows::Rows,
};

/// How many rows wait to be sent.
const WAITING: usize = 64;

/// A file that is right, and what to do with it.
pub(super) struct Import {
    pub(super) file: PathBuf,
    pub(super) organisation: String,
    pub(super) dry_run: bool,
    pub(super) results: Option<PathBuf>,
    /// How many rows it has.
    pub(super) rows: u64,
    pub(super) output: Output,
}

/// How many rows came to what.
#[derive(Default)]
struct Totals {
    created: u64,
    exists: u64,
    refused: u64,
}

impl Totals {
    fn all(&self) -> u64 {
        self.created + self.exists + self.refused
    }
}

impl Import {
    /// Sends the rows, and tells what becomes of each as soon as it is known. Neither the rows nor the
    /// results are collected, so that a file may be of any size.
    pub(super) async fn run(self, session: &mut Session, out: Out<'_>) -> anyhow::Result<()> {
        let mut results = self.results.as_ref().map(Results::create).transpose()?;
        let mut client = InvitationServiceClient::new(session.organisation().await?);
        let (sender, receiver) = mpsc::channel(WAITING);
        let (file, organisation, dry_run) =
            (self.file.clone(), self.organisation.clone(), self.dry_run);
        let sending = task::spawn_blocking(move || send(&file, &organisation, dry_run, &sender));
        let progress = ProgressBar::new(self.rows);
        let style = ProgressStyle::with_template("{bar:40} {pos} of {len} rows, {eta} left")?;
        progress.set_style(style);

        let mut totals = Totals::default();
        let answered = async {
            let answers = client.import_invitations(ReceiverStream::new(receiver)).await?;
            let mut answers = answers.into_inner();
            while let Some(answer) = answers.message().await? {
                totals.count(&answer);
                if let Some(results) = &mut results {
                    results.write(&answer)?;
                }
                progress.suspend(|| self.tell(&answer, out))?;
                progress.inc(1);
            }
            anyhow::Ok(())
        };
        let answered = answered.await;
        progress.finish_and_clear();
        if let Some(results) = &mut results {
            results.0.flush()?;
        }
        self.sum_up(&totals, out)?;
        // Why the rows ended early explains more than that the answers did.
        sending.await?.context("the file changed while it was read")?;
        answered
            .map_err(|error| match error.downcast_ref() {
                Some(status) => told(status),
                None => error,
            })
            .with_context(|| {
                format!(
                    "{} of {} rows were answered; it is safe to run it again",
                    totals.all(),
                    self.rows
                )
            })?;
        anyhow::ensure!(
            totals.all() == self.rows,
            "{} of {} rows were answered; it is safe to run it again",
            totals.all(),
            self.rows
        );
        let (refused, all) = (totals.refused, self.rows);
        anyhow::ensure!(refused == 0, "{refused} of {all} rows were refused");
        Ok(())
    }

    fn tell(&self, answer: &ImportInvitationsResponse, out: Out<'_>) -> io::Result<()> {
        let ImportInvitationsResponse { row, outcome: _, invitation_id, reason, message } = answer;
        let outcome = word(answer);
        match self.output {
            Output::Json => {
                let value = json!({ "line": row, "outcome": outcome, "invitation_id": invitation_id, "reason": reason, "message": message });
                json_line(out, &value)
            }
            Output::Table => {
                let why = plain(&format!("{reason} {message}"));
                writeln!(out, "{}", format!("line {row:<6} {outcome:<8} {why}").trim_end())
            }
        }
    }

    fn sum_up(&self, totals: &Totals, out: Out<'_>) -> io::Result<()> {
        let Totals { created, exists, refused } = totals;
        if self.output == Output::Json {
            let summary = json!({ "created": created, "exists": exists, "refused": refused, "dry_run": self.dry_run });
            return json_line(out, &json!({ "summary": summary }));
        }
        let heading = if self.dry_run { "WOULD BE" } else { "OUTCOME" };
        let mut table = Table::new([heading, "ROWS"]);
        table.row(["created", &created.to_string()]);
        table.row(["exists", &exists.to_string()]);
        table.row(["refused", &refused.to_string()]);
        writeln!(out)?;
        table.print(out)
    }
}

impl Totals {
    fn count(&mut self, answer: &ImportInvitationsResponse) {
        match answer.outcome() {
            ImportOutcome::Created => self.created += 1,
            ImportOutcome::Exists => self.exists += 1,
            ImportOutcome::Refused | ImportOutcome::Unspecified => self.refused += 1,
        }
    }
}

fn word(answer: &ImportInvitationsResponse) -> &'static str {
    match answer.outcome() {
        ImportOutcome::Created => "created",
        ImportOutcome::Exists => "exists",
        ImportOutcome::Refused | ImportOutcome::Unspecified => "refused",
    }
}

/// Reads the file again and sends its rows, no faster than they are taken; a row is known by its
/// line. Ends without an error when nobody takes them any more: the answers tell why.
fn send(
    file: &std::path::Path,
    organisation: &str,
    dry_run: bool,
    to: &mpsc::Sender<ImportInvitationsRequest>,
) -> anyhow::Result<()> {
    let mut rows = Rows::open(file, organisation)?;
    while let Some(row) = rows.next() {
        let row = row.map_err(|wrong| match wrong.into_iter().next() {
            Some(wrong) => anyhow::Error::from(wrong),
            None => anyhow::anyhow!("a line is wrong"),
        })?;
        let request =
            ImportInvitationsRequest { dry_run, row: row.line, invitation: Some(row.invitation) };
        if to.blocking_send(request).is_err() {
            break;
        }
    }
    Ok(())
}

/// A file of what became of the rows.
struct Results(csv::Writer<File>);

impl Results {
    fn create(path: &PathBuf) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        let mut writer = csv::Writer::from_writer(file);
        writer.write_record(["line", "outcome", "invitation_id", "reason", "message"])?;
        Ok(Self(writer))
    }

    fn write(&mut self, answer: &ImportInvitationsResponse) -> anyhow::Result<()> {
        let line = answer.row.to_string();
        let (id, reason, message) = (&answer.invitation_id, &answer.reason, &answer.message);
        Ok(self.0.write_record([&line, word(answer), id, reason, message])?)
    }
}

#[cfg(test)]
mod tests;
