use api::organisation::v1::{
    AuditFilter, ExportAuditRecordsRequest, audit_service_client::AuditServiceClient,
};

use super::{
    super::{
        output::{Out, json_line},
        refusal::told,
        session::Session,
    },
    line::Line,
};

/// Prints all records that match as JSON lines, as they come.
pub(super) async fn export(
    session: &mut Session,
    filter: AuditFilter,
    out: Out<'_>,
) -> anyhow::Result<()> {
    let mut client = AuditServiceClient::new(session.organisation().await?);
    let request = ExportAuditRecordsRequest { filter: Some(filter) };
    let messages = client.export_audit_records(request).await.map_err(|it| told(&it))?;
    let mut messages = messages.into_inner();
    while let Some(message) = messages.message().await.map_err(|it| told(&it))? {
        for record in message.records {
            json_line(out, &Line::from(record))?;
        }
    }
    Ok(out.flush()?)
}
