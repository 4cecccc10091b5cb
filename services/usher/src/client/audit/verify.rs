use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
    time::Duration,
};

use anyhow::Context as _;
use api::organisation::v1::{
    AuditRecord, ExportAuditRecordsRequest, audit_service_client::AuditServiceClient,
};
use indicatif::ProgressBar;
use organisation::audit_chain::{Broken, Head, Verifier, hexadecimal};
use serde_json::json;

use super::{
    super::{
        output::{Out, Output, json},
        refusal::told,
        session::Session,
    },
    line::Line,
};

/// Verifies the whole chain as the service holds it.
pub(super) async fn server(
    session: &mut Session,
    noted: Option<Head>,
    output: Output,
    out: Out<'_>,
) -> anyhow::Result<()> {
    let mut client = AuditServiceClient::new(session.organisation().await?);
    let request = ExportAuditRecordsRequest { filter: None };
    let messages = client.export_audit_records(request).await.map_err(|it| told(&it))?;
    let mut messages = messages.into_inner();
    let mut verification = Verification::new(noted);
    while let Some(message) = messages.message().await.map_err(|it| told(&it))? {
        for record in &message.records {
            if let Err(broken) = verification.verifier.next(record) {
                return tell(Err(broken), output, out);
            }
        }
        verification.show();
    }
    tell(verification.end(), output, out)
}

/// Verifies a chain that was exported.
pub(super) fn file(
    path: &Path,
    noted: Option<Head>,
    output: Output,
    out: Out<'_>,
) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let mut verification = Verification::new(noted);
    for (index, line) in BufReader::new(file).lines().enumerate() {
        let place = || format!("{}, line {}", path.display(), index + 1);
        let line = line.with_context(place)?;
        let line: Line = serde_json::from_str(&line).with_context(place)?;
        let record = AuditRecord::try_from(line).with_context(place)?;
        if let Err(broken) = verification.verifier.next(&record) {
            return tell(Err(broken), output, out);
        }
        if index % 500 == 0 {
            verification.show();
        }
    }
    tell(verification.end(), output, out)
}

/// A verification, with its progress on the terminal.
struct Verification {
    verifier: Verifier,
    progress: ProgressBar,
}

impl Verification {
    fn new(noted: Option<Head>) -> Self {
        let progress = ProgressBar::new_spinner();
        progress.enable_steady_tick(Duration::from_millis(200));
        let verifier = noted.map_or_else(Verifier::default, Verifier::expecting);
        Self { verifier, progress }
    }

    fn show(&self) {
        self.progress.set_message(format!("{} records verified", self.verifier.head().sequence));
    }

    fn end(self) -> Result<Head, Broken> {
        self.progress.finish_and_clear();
        self.verifier.finish()
    }
}

fn tell(verified: Result<Head, Broken>, output: Output, out: Out<'_>) -> anyhow::Result<()> {
    match (&verified, output) {
        (Ok(head), Output::Table) => {
            writeln!(out, "The chain holds: {} records.", head.sequence)?;
            writeln!(out, "Head, to be noted down: {head}")?;
        }
        (Ok(head), Output::Json) => {
            let head = json!({ "sequence": head.sequence, "hash": hexadecimal(&head.hash) });
            json(out, &json!({ "verified": true, "head": head }))?;
        }
        (Err(_), Output::Table) => {}
        (Err(broken), Output::Json) => {
            let (sequence, what) = (broken.sequence, broken.to_string());
            json(out, &json!({ "verified": false, "sequence": sequence, "message": what }))?;
        }
    }
    verified.map(|_| ()).context("the chain does not hold")
}

#[cfg(test)]
mod tests {
    use organisation::audit_chain::hash;

    use super::*;

    fn chain(length: i64) -> Vec<AuditRecord> {
        let mut records: Vec<AuditRecord> = Vec::new();
        for sequence in 1..=length {
            let previous = records.last().map_or_else(|| vec![0; 32], |it| it.hash.clone());
            let mut record = AuditRecord {
                sequence,
                at: Some(prost_types::Timestamp { seconds: sequence, nanos: 1_000 }),
                action: "members.create".to_owned(),
                previous_hash: previous,
                ..Default::default()
            };
            record.hash = hash(&record).to_vec();
            records.push(record);
        }
        records
    }

    fn verify(
        records: Vec<AuditRecord>,
        noted: Option<&str>,
        output: Output,
    ) -> (String, Result<(), String>) {
        let written = tempfile::NamedTempFile::new().unwrap();
        let lines = records.into_iter().map(|it| serde_json::to_string(&Line::from(it)).unwrap());
        std::fs::write(written.path(), lines.collect::<Vec<_>>().join("\n")).unwrap();
        let mut out = Vec::new();
        let noted = noted.map(|head| head.parse().unwrap());
        let outcome = file(written.path(), noted, output, &mut out);
        (String::from_utf8(out).unwrap(), outcome.map_err(|error| format!("{error:#}")))
    }

    #[test]
    fn an_exported_chain_is_verified_and_its_head_is_told() {
        let (told, outcome) = verify(chain(3), None, Output::Table);
        assert_eq!(outcome, Ok(()));
        let head = told.rsplit_once(": ").unwrap().1.trim();
        assert!(told.contains("3 records") && head.starts_with("3:"), "{told}");
        // The head that was noted down shows whether the end is still there.
        assert_eq!(verify(chain(3), Some(head), Output::Table).1, Ok(()));
        let cut = verify(chain(2), Some(head), Output::Table).1;
        assert_eq!(cut, Err("the chain does not hold: record 3 is missing".to_owned()));
    }

    #[test]
    fn the_first_wrong_record_is_named_to_people_and_to_programs() {
        let mut records = chain(4);
        records[2].action = "members.remove".to_owned();
        let (told, outcome) = verify(records, None, Output::Json);
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert_eq!((told["verified"].as_bool(), told["sequence"].as_i64()), (Some(false), Some(3)));
        assert!(outcome.unwrap_err().contains("record 3 was changed"));
    }

    #[test]
    fn a_line_that_is_no_record_is_named() {
        let written = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(written.path(), "{\"sequence\":1}\n").unwrap();
        let outcome = file(written.path(), None, Output::Table, &mut Vec::new());
        assert!(format!("{:#}", outcome.unwrap_err()).contains("line 1"));
    }
}
