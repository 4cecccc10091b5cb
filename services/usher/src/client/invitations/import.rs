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
use tonic::{Code, Status};

use super::{
    super::{
        output::{Out, Output, Table, json_line, plain},
        refusal,
        session::Session,
    },
    rows::{Row, Rows},
};

/// How many rows wait to be sent.
const WAITING: usize = 64;
/// How many rows go in one call: no more are taken.
const MOST: usize = 10_000;

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

/// What has been told so far, and where.
struct Told<'a> {
    out: Out<'a>,
    results: Option<Results>,
    progress: ProgressBar,
    totals: Totals,
    /// The line of the last row that was answered.
    line: i32,
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
        let results = self.results.as_ref().map(Results::create).transpose()?;
        let progress = ProgressBar::new(self.rows);
        let style = ProgressStyle::with_template("{bar:40} {pos} of {len} rows, {eta} left")?;
        progress.set_style(style);
        let mut told = Told { out, results, progress, totals: Totals::default(), line: 0 };
        let outcome = self.send_all(session, &mut told).await;
        told.progress.finish_and_clear();
        let Told { out, totals, .. } = told;
        // Before the first answer there is nothing to sum up.
        if outcome.is_ok() || totals.all() > 0 {
            self.sum_up(&totals, out)?;
        }
        let (answered, refused, all) = (totals.all(), totals.refused, self.rows);
        outcome.with_context(|| {
            format!("{answered} of {all} rows were answered; it is safe to run it again")
        })?;
        anyhow::ensure!(refused == 0, "{refused} of {all} rows were refused");
        Ok(())
    }

    /// Calls until every row is answered: more rows than one call takes go in several, and where a
    /// token has run out on the way the rest goes with another.
    async fn send_all(&self, session: &mut Session, told: &mut Told<'_>) -> anyhow::Result<()> {
        while told.totals.all() < self.rows {
            let before = told.totals.all();
            let ended = self.call(session, told).await;
            let came_further = told.totals.all() > before;
            match ended {
                Ok(()) if came_further => {}
                Ok(()) => anyhow::bail!("the service answers no more"),
                Err(error) => match error.downcast_ref::<Status>() {
                    Some(status) if status.code() == Code::Unauthenticated => {
                        if !came_further || !session.renews() {
                            return Err(refusal::told(status));
                        }
                    }
                    Some(status) => return Err(refusal::told(status)),
                    None => return Err(error),
                },
            }
        }
        Ok(())
    }

    /// Sends rows that are not answered yet, and tells the answers, which come in the order of the rows.
    async fn call(&self, session: &mut Session, told: &mut Told<'_>) -> anyhow::Result<()> {
        let mut client = InvitationServiceClient::new(session.organisation().await?);
        let (sender, receiver) = mpsc::channel(WAITING);
        let (asking, mut asked) = mpsc::unbounded_channel();
        let (file, organisation) = (self.file.clone(), self.organisation.clone());
        let (dry_run, after) = (self.dry_run, told.line);
        let sending = task::spawn_blocking(move || {
            let rows = Rows::open(&file, &organisation)?;
            send(rows, after, dry_run, &sender, &asking)
        });
        let answered = async {
            let answers = client.import_invitations(ReceiverStream::new(receiver)).await?;
            let mut answers = answers.into_inner();
            while let Some(answer) = answers.message().await? {
                let mut email = String::new();
                while let Ok((line, address)) = asked.try_recv() {
                    email = address;
                    if line >= answer.row {
                        break;
                    }
                }
                self.tell(&answer, &email, told)?;
            }
            anyhow::Ok(())
        };
        let answered = answered.await;
        // Why the rows ended early explains more than that the answers did.
        sending.await?.context("the file changed while it was read")?;
        answered
    }

    /// Tells one answer, and keeps it.
    fn tell(
        &self,
        answer: &ImportInvitationsResponse,
        email: &str,
        told: &mut Told<'_>,
    ) -> anyhow::Result<()> {
        let Told { out, results, progress, totals, line } = told;
        totals.count(answer);
        *line = answer.row;
        if let Some(results) = results {
            results.write(answer, email)?;
        }
        progress.suspend(|| self.print(answer, email, *out))?;
        progress.inc(1);
        Ok(())
    }

    fn print(
        &self,
        answer: &ImportInvitationsResponse,
        email: &str,
        out: Out<'_>,
    ) -> io::Result<()> {
        let ImportInvitationsResponse { row, outcome: _, invitation_id, reason, message } = answer;
        let outcome = word(answer);
        match self.output {
            Output::Json => {
                let value = json!({ "line": row, "email": email, "outcome": outcome, "invitation_id": invitation_id, "reason": reason, "message": message });
                json_line(out, &value)
            }
            Output::Table => {
                let would = if self.dry_run && outcome != "exists" { "would be " } else { "" };
                let outcome = format!("{would}{outcome}");
                let width = if self.dry_run { 16 } else { 7 };
                let why = plain(format!("{email}  {reason} {message}").trim_end());
                writeln!(out, "line {row:<6} {outcome:<width$}  {why}")
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

/// Sends the rows behind a line, as many as one call takes and no faster than they are taken; a row is
/// known by its line. Ends without an error when nobody takes them any more: the answers tell why.
fn send(
    mut rows: Rows,
    after: i32,
    dry_run: bool,
    to: &mpsc::Sender<ImportInvitationsRequest>,
    asking: &mpsc::UnboundedSender<(i32, String)>,
) -> anyhow::Result<()> {
    let mut sent = 0;
    while let Some(row) = rows.next().filter(|_| sent < MOST) {
        let Row { line, invitation } = row.map_err(|wrong| match wrong.into_iter().next() {
            Some(wrong) => anyhow::Error::from(wrong),
            None => anyhow::anyhow!("a line is wrong"),
        })?;
        if line <= after {
            continue;
        }
        let email = invitation.email.clone();
        let request = ImportInvitationsRequest { dry_run, row: line, invitation: Some(invitation) };
        if asking.send((line, email)).is_err() || to.blocking_send(request).is_err() {
            break;
        }
        sent += 1;
    }
    Ok(())
}

/// A file of what became of the rows.
struct Results(csv::Writer<File>);

impl Results {
    fn create(path: &PathBuf) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        let mut writer = csv::Writer::from_writer(file);
        writer.write_record(["line", "email", "outcome", "invitation_id", "reason", "message"])?;
        Ok(Self(writer))
    }

    /// Each is in the file at once, so that it is there whatever ends the command.
    fn write(&mut self, answer: &ImportInvitationsResponse, email: &str) -> anyhow::Result<()> {
        let ImportInvitationsResponse { row, outcome: _, invitation_id, reason, message } = answer;
        let line = row.to_string();
        self.0.write_record([&line, email, word(answer), invitation_id, reason, message])?;
        Ok(self.0.flush()?)
    }
}

#[cfg(test)]
mod tests;
