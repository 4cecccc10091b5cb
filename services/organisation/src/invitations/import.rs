use std::{pin::Pin, time::Duration};

use api::organisation::v1::{
    CreateInvitationRequest, ImportInvitationsRequest, ImportInvitationsResponse, ImportOutcome,
};
use futures::{Stream, StreamExt as _, stream};
use kernel::{Fields, parse_id};
use service::deadline;
use tonic::{Status, Streaming};
use tracing::Instrument as _;

use crate::{
    Organisations, call::Call, domain::permission::Permission, error::Error, prepared::Prepared,
};

/// The results, in the order of the rows.
pub(crate) type Results =
    Pin<Box<dyn Stream<Item = Result<ImportInvitationsResponse, Status>> + Send>>;

/// Rows in one call.
const MOST: usize = 10_000;
/// Rows in work at once.
const AT_ONCE: usize = 8;
/// How long a row may be waited for.
const IDLE: Duration = Duration::from_secs(30);

/// Invites many: each row is what `CreateInvitation` does, in a transaction of its own, and what
/// became of it is answered as soon as it is known. Sent again, all that was invited exists.
///
/// Needs `invitations.create` at the organisation of the first row, or the call is refused; of each
/// further row its own right is asked, and what it lacks refuses the row alone. A dry run checks
/// everything that can be told here, and writes, counts and asks for nothing. At most 10,000 rows; a
/// failure that is no row's fault ends the call, which then is to be sent again. Events: as
/// `CreateInvitation`.
pub(crate) async fn import(
    service: &Organisations,
    call: Call,
    mut rows: Streaming<ImportInvitationsRequest>,
) -> Result<Results, Status> {
    let Some(first) = rows.message().await? else { return Ok(Box::pin(stream::empty())) };
    let dry_run = first.dry_run;
    if let Err(refused) = require_right(service, &call, &first).await {
        if let Some(reason) = refused.reason() {
            service.note_refusal(&call, reason).await;
        }
        return Err(refused.into());
    }
    let (service, span) = (service.clone(), tracing::Span::current());
    let results = in_order(first, rows).map(move |request| {
        let (service, call) = (service.clone(), call.again());
        let work = async move {
            let work = result(&service, &call, dry_run, request?);
            let late = || Err(Status::deadline_exceeded("a row took longer than its deadline"));
            deadline::within(service.rpc_timeout, work).await.unwrap_or_else(late)
        };
        // A task of its own: its time does not run out while the caller is slow to read.
        let task = tokio::spawn(work.instrument(span.clone()));
        async move { task.await.unwrap_or_else(|error| Err(service::internal(error))) }
    });
    Ok(Box::pin(results.buffered(AT_ONCE)))
}

/// Whoever may invite nobody is refused before they send thousands of rows.
async fn require_right(
    service: &Organisations,
    call: &Call,
    first: &ImportInvitationsRequest,
) -> Result<(), Error> {
    let organisation = first.invitation.as_ref().map(|it| parse_id(&it.organisation_id));
    // What is malformed is the row's fault, and told of the row.
    let Some(Ok(organisation)) = organisation else { return Ok(()) };
    let rights = service.rights(call, service.database.read(), organisation).await?;
    Ok(rights.require(Permission::InvitationsCreate)?)
}

/// The rows as they come. The stream ends with the first error: too many rows, or a caller that has
/// gone silent.
fn in_order(
    first: ImportInvitationsRequest,
    rows: Streaming<ImportInvitationsRequest>,
) -> impl Stream<Item = Result<ImportInvitationsRequest, Status>> {
    let state = (Some(first), Some(rows), 0);
    stream::unfold(state, |(first, rows, count)| async move {
        if let Some(first) = first {
            return Some((Ok(first), (None, rows, 1)));
        }
        let mut rows = rows?;
        let next = tokio::time::timeout(IDLE, rows.message()).await;
        let next = next.unwrap_or_else(|_| {
            Err(Status::deadline_exceeded("no row came for 30 s; send the rest again"))
        });
        match next.transpose()? {
            Ok(_) if count == MOST => {
                let error = Status::resource_exhausted(format!("at most {MOST} rows in a call"));
                Some((Err(error), (None, None, count)))
            }
            Ok(row) => Some((Ok(row), (None, Some(rows), count + 1))),
            Err(error) => Some((Err(error), (None, None, count))),
        }
    })
}

/// What became of a row, or would.
async fn result(
    service: &Organisations,
    call: &Call,
    dry_run: bool,
    request: ImportInvitationsRequest,
) -> Result<ImportInvitationsResponse, Status> {
    // A dry run is one from its first message on.
    let ImportInvitationsRequest { dry_run: _, row, invitation } = request;
    let mut result = ImportInvitationsResponse { row, ..Default::default() };
    let outcome = match invite(service, call, dry_run, invitation.unwrap_or_default()).await {
        Ok(invitation_id) => {
            result.invitation_id = invitation_id;
            ImportOutcome::Created
        }
        Err(Error::InvitationPending { id }) => {
            result.invitation_id = id.to_string();
            ImportOutcome::Exists
        }
        Err(Error::AlreadyMember) => ImportOutcome::Exists,
        Err(Error::Invalid(fields)) => {
            result.reason = "INVALID".to_owned();
            result.message = sentence(&fields);
            ImportOutcome::Refused
        }
        Err(error) => {
            let Some(reason) = error.reason() else { return Err(error.into()) };
            if !dry_run {
                service.note_refusal(call, reason).await;
            }
            result.reason = reason.to_owned();
            result.message = Status::from(error).message().to_owned();
            ImportOutcome::Refused
        }
    };
    result.set_outcome(outcome);
    Ok(result)
}

/// The invitation's identifier; of a dry run there is none.
async fn invite(
    service: &Organisations,
    call: &Call,
    dry_run: bool,
    request: CreateInvitationRequest,
) -> Result<String, Error> {
    let prepared = Prepared::read(service, call, request).await?;
    // Sent again, most rows end here: they are not counted, and nobody is asked for an account.
    prepared.require_news(service).await?;
    if dry_run {
        return Ok(String::new());
    }
    let account = prepared.account(service, call).await?;
    let change = service.begin(call).await?;
    let made = prepared.make(service, &change, call, &account).await?;
    change.commit(()).await?;
    Ok(made.id.to_string())
}

fn sentence(fields: &Fields) -> String {
    let wrong = fields.violations().iter();
    let wrong: Vec<_> = wrong.map(|it| format!("{}: {}", it.field, it.description)).collect();
    wrong.join("; ")
}

#[cfg(test)]
mod tests;
