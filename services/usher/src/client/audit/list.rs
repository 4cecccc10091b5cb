use api::organisation::v1::{
    AuditFilter, AuditRecord, ListAuditRecordsRequest, audit_service_client::AuditServiceClient,
};

use super::{
    super::{
        output::{Out, Output, Table, json},
        refusal::told,
        session::Session,
    },
    line::Line,
};

/// Shows the newest records that match, at most `limit`.
pub(super) async fn list(
    session: &mut Session,
    filter: AuditFilter,
    limit: u32,
    output: Output,
    out: Out<'_>,
) -> anyhow::Result<()> {
    let mut lines = Vec::new();
    let mut page_token = String::new();
    let mut left = limit;
    loop {
        let request = ListAuditRecordsRequest {
            filter: Some(filter.clone()),
            page_size: i32::try_from(left.min(100))?,
            page_token,
            ..Default::default()
        };
        let mut client = AuditServiceClient::new(session.organisation().await?);
        let page = client.list_audit_records(request).await.map_err(|it| told(&it))?.into_inner();
        left = left.saturating_sub(u32::try_from(page.records.len())?);
        lines.extend(page.records);
        page_token = page.next_page_token;
        if left == 0 || page_token.is_empty() {
            break;
        }
    }
    print(lines, output, out)
}

fn print(records: Vec<AuditRecord>, output: Output, out: Out<'_>) -> anyhow::Result<()> {
    let lines = records.into_iter().map(Line::from);
    if output == Output::Json {
        return Ok(json(out, &lines.collect::<Vec<_>>())?);
    }
    let mut table = Table::new([
        "SEQUENCE",
        "AT",
        "ACTOR",
        "ACTION",
        "REFUSAL",
        "ORGANISATION",
        "TARGET",
        "DETAILS",
    ]);
    for line in lines {
        let place = match line.sequence {
            0 => "waiting".to_owned(),
            sequence => sequence.to_string(),
        };
        let actor = if line.actor_id.is_empty() { &line.actor_kind } else { &line.actor_id };
        let target = format!("{} {}", line.target_kind, line.target_id);
        let (target, details) = (target.trim(), line.details.join(", "));
        let Line { at, action, refusal, organisation_id, .. } = &line;
        table.row([&place, at, actor, action, refusal, organisation_id, target, &details]);
    }
    Ok(table.print(out)?)
}

#[cfg(test)]
mod tests {
    use api::organisation::v1::ActorKind;

    use super::*;

    fn records() -> Vec<AuditRecord> {
        let record = AuditRecord {
            sequence: 7,
            id: "i".to_owned(),
            at: Some(prost_types::Timestamp { seconds: 1_767_268_800, nanos: 1_000 }),
            actor_id: "ada".to_owned(),
            actor_kind: ActorKind::Person.into(),
            action: "members.create".to_owned(),
            organisation_id: "abc".to_owned(),
            target_kind: "membership".to_owned(),
            target_id: "eve".to_owned(),
            details: vec!["roles=admin user".to_owned()],
            previous_hash: vec![0; 32],
            hash: vec![0xab; 32],
            ..Default::default()
        };
        let waiting = AuditRecord {
            actor_kind: ActorKind::Usher.into(),
            at: Some(prost_types::Timestamp { seconds: 1_767_268_801, nanos: 0 }),
            action: "invitations.expire".to_owned(),
            ..Default::default()
        };
        vec![waiting, record]
    }

    fn printed(output: Output) -> String {
        let mut out = Vec::new();
        print(records(), output, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn people_get_a_table() {
        let expected = "\
SEQUENCE  AT                           ACTOR  ACTION              REFUSAL  ORGANISATION  TARGET          DETAILS
waiting   2026-01-01T12:00:01Z         usher  invitations.expire
7         2026-01-01T12:00:00.000001Z  ada    members.create               abc           membership eve  roles=admin user
";
        assert_eq!(printed(Output::Table), expected);
    }

    #[test]
    fn programs_get_every_field() {
        let printed: Vec<Line> = serde_json::from_str(&printed(Output::Json)).unwrap();
        let again: Vec<AuditRecord> =
            printed.into_iter().map(|it| it.try_into().unwrap()).collect();
        assert_eq!(again, records());
    }
}
