use std::{pin::Pin, time::Duration};

use api::organisation::v1::{
    CreateInvitationRequest, ImportInvitationsRequest, ImportInvitationsResponse, ImportOutcome,
};
use futures::{Stream, StreamExt as _, stream};
use kernel::{Clock, Fields, parse_id};
use service::{Caller, deadline};
use tonic::{Status, Streaming};
use tracing::Instrument as _;

use crate::{
    Organisations,
    call::Call,
    domain::permission::Permission,
    error::Error,
    making::make,
    prepared::{Grounds, Prepared},
};

/// The results, in the order of the rows.
pub(crate) type Results =
    Pin<Box<dyn Stream<Item = Result<ImportInvitationsResponse, Status>> + Send>>;

/// A row that came, or why no more come.
type Came = Result<ImportInvitationsRequest, Status>;

/// A row, and what becomes of it.
struct Row {
    number: i32,
    /// For the history, which names the organisation.
    call: Call,
    invitation: CreateInvitationRequest,
    /// The invitation's identifier, empty in a dry run; or what stands against it.
    outcome: Result<String, Error>,
}

/// Rows in one call.
const MOST: usize = 10_000;
/// Rows in one transaction, as far as they have come.
const TOGETHER: usize = 32;
/// Transactions in work at once.
const AT_ONCE: usize = 4;
/// How long a row may be waited for.
const IDLE: Duration = Duration::from_secs(30);

/// Invites many: each row is what `CreateInvitation` does, and what became of it is answered as soon
/// as it is known. Sent again, all that was invited exists.
///
/// Needs `invitations.create` at the organisation of the first row, or the call is refused; of each
/// further row its own right is asked, and what it lacks refuses the row alone. A dry run checks
/// everything that can be told here, and writes, counts and asks for nothing. At most 10,000 rows, and
/// no longer than the caller's token; a failure that is no row's fault ends the call, which then is to
/// be sent again. Events: as `CreateInvitation`.
///
/// Rows that come one after the other share their queries and a transaction, whose answers come once
/// it is committed. Measured in a debug build, a row by itself costs six times as much.
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
    let rows = in_order(first, rows, Caller::clone(&call), service.clock.clone());
    let results = rows.ready_chunks(TOGETHER).map(move |came| {
        let (service, call) = (service.clone(), call.again());
        let work = async move {
            let work = results(&service, &call, dry_run, came);
            let late = || vec![Err(Status::deadline_exceeded("rows took longer than a deadline"))];
            deadline::within(service.rpc_timeout, work).await.unwrap_or_else(late)
        };
        // A task of its own: its time does not run out while the caller is slow to read.
        let task = tokio::spawn(work.instrument(span.clone()));
        async move { task.await.unwrap_or_else(|error| vec![Err(service::internal(error))]) }
    });
    Ok(Box::pin(results.buffered(AT_ONCE).flat_map(stream::iter)))
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

/// The rows as they come. The stream ends with the first error: too many rows, a caller that has gone
/// silent, or one whose token has run out.
fn in_order(
    first: ImportInvitationsRequest,
    rows: Streaming<ImportInvitationsRequest>,
    caller: Caller,
    clock: Clock,
) -> impl Stream<Item = Came> {
    let state = (rows, caller, clock, 1);
    let rest = stream::try_unfold(state, |(mut rows, caller, clock, count)| async move {
        let silent = |_| Status::deadline_exceeded("no row came for 30 s; send the rest again");
        let next = tokio::time::timeout(IDLE, rows.message()).await.map_err(silent)??;
        let Some(row) = next else { return Ok(None) };
        if count == MOST {
            return Err(Status::resource_exhausted(format!("at most {MOST} rows in a call")));
        }
        caller.require_token(clock.now())?;
        Ok(Some((row, (rows, caller, clock, count + 1))))
    });
    stream::iter([Ok(first)]).chain(rest)
}

/// What became of rows, or would; up to why no more come.
async fn results(
    service: &Organisations,
    call: &Call,
    dry_run: bool,
    came: Vec<Came>,
) -> Vec<Result<ImportInvitationsResponse, Status>> {
    let (mut rows, mut end) = (Vec::new(), None);
    for row in came {
        match row {
            Ok(ImportInvitationsRequest { dry_run: _, row, invitation }) => {
                let (invitation, call) = (invitation.unwrap_or_default(), call.again());
                rows.push(Row { number: row, call, outcome: Ok(String::new()), invitation });
            }
            Err(why) => end = Some(Err(why)),
        }
    }
    if let Err(error) = invite(service, call, dry_run, &mut rows).await {
        return vec![Err(error.into())];
    }
    let mut results = Vec::with_capacity(rows.len() + 1);
    for row in rows {
        results.push(row.result(service, dry_run).await);
    }
    results.extend(end);
    results
}

/// Finds out, and outside of a dry run makes, what becomes of each row.
async fn invite(
    service: &Organisations,
    call: &Call,
    dry_run: bool,
    rows: &mut [Row],
) -> Result<(), Error> {
    let (mut places, mut prepared) = (Vec::new(), Vec::new());
    let mut grounds = Grounds::default();
    for (place, row) in rows.iter_mut().enumerate() {
        let invitation = std::mem::take(&mut row.invitation);
        match Prepared::read(service, &row.call, &mut grounds, invitation).await {
            Ok(read) => {
                places.push(place);
                prepared.push(read);
            }
            Err(refused) => row.outcome = Err(refused),
        }
    }
    // Sent again, most rows end here: they are not counted, and nobody is asked for an account.
    let news = Prepared::news(service, &prepared).await?;
    let mut wanted = Vec::new();
    for ((place, prepared), news) in places.into_iter().zip(prepared).zip(news) {
        let counted = match news {
            Ok(()) if !dry_run => prepared.count(service, &rows[place].call).await,
            news => news,
        };
        match counted {
            Ok(()) => wanted.push((place, prepared)),
            Err(refused) => rows[place].outcome = Err(refused),
        }
    }
    if dry_run || wanted.is_empty() {
        return Ok(());
    }
    let (places, prepared): (Vec<_>, Vec<_>) = wanted.into_iter().unzip();
    let accounts = Prepared::accounts(service, &prepared).await?;
    let change = service.begin(call).await?;
    let pairs = prepared.into_iter().zip(accounts).collect();
    let made = make(service, &change, call, pairs).await?;
    change.commit(()).await?;
    for (place, made) in places.into_iter().zip(made) {
        rows[place].outcome = made.map(|row| row.id.to_string());
    }
    Ok(())
}

impl Row {
    /// What is answered. An outcome that is no row's fault is that of the call.
    async fn result(
        self,
        service: &Organisations,
        dry_run: bool,
    ) -> Result<ImportInvitationsResponse, Status> {
        let Self { number, call, invitation: _, outcome } = self;
        let mut result = ImportInvitationsResponse { row: number, ..Default::default() };
        let outcome = match outcome {
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
                let Some((reason, message)) = error.told() else { return Err(error.into()) };
                if !dry_run {
                    service.note_refusal(&call, reason).await;
                }
                result.reason = reason.to_owned();
                result.message = message;
                ImportOutcome::Refused
            }
        };
        result.set_outcome(outcome);
        Ok(result)
    }
}

fn sentence(fields: &Fields) -> String {
    let wrong = fields.violations().iter();
    let wrong: Vec<_> = wrong.map(|it| format!("{}: {}", it.field, it.description)).collect();
    wrong.join("; ")
}

#[cfg(test)]
mod tests;
