use api::organisation::v1::{ExportAuditRecordsRequest, ExportAuditRecordsResponse};
use db::DbErr;
use futures::{Stream, stream};
use kernel::{Fields, Uuid};
use sea_orm::{QueryOrder as _, QuerySelect as _, entity::prelude::*};

use crate::{
    Organisations,
    call::Call,
    entity::{
        audit_chain,
        audit_record::{Column, Entity, Filter, Model},
        membership,
    },
    error::Error,
};

/// How many records a message has at most.
const BATCH: u64 = 500;
/// How much of the chain one query looks through, so that a filter that hardly anything passes does
/// not make it long.
const WINDOW: i64 = 10_000;

/// All records that match and have their place in the chain when the call begins, oldest first.
///
/// Needs `audit.read` at the organisation of the filter, or without one at the platform, until the
/// end: whoever loses it meanwhile gets no more. A message is read from the database when the client
/// asks for it, so that a long chain costs no memory, and a client that has gone costs nothing.
pub(crate) async fn export(
    service: &Organisations,
    call: &Call,
    request: ExportAuditRecordsRequest,
) -> Result<impl Stream<Item = Result<ExportAuditRecordsResponse, Error>> + use<>, Error> {
    let ExportAuditRecordsRequest { filter } = request;
    let mut fields = Fields::default();
    let filter = Filter::parse(&mut fields, filter);
    let filter = filter.ok_or(Error::Invalid(fields))?;
    let database = service.database.read();
    filter.require(&service.rights(call, database, filter.place()).await?)?;
    let head = audit_chain::Entity::find_by_id(1).one(database).await?;
    let end = head.map_or(0, |head| head.sequence);
    let (service, subject) = (service.clone(), call.subject);
    let export = Export { service, subject, filter, after: 0, end };
    Ok(stream::try_unfold(export, |mut export| async move {
        Ok(export.next().await?.map(|answer| (answer, export)))
    }))
}

/// What is left of an export.
struct Export {
    service: Organisations,
    subject: Uuid,
    filter: Filter,
    /// The place in the chain that it has come to.
    after: i64,
    end: i64,
}

impl Export {
    async fn next(&mut self) -> Result<Option<ExportAuditRecordsResponse>, Error> {
        while self.after < self.end {
            let (database, now) = (self.service.database.read(), self.service.clock.now());
            let place = self.filter.place();
            let rights = membership::rights(database, self.subject, place, now).await?;
            self.filter.require(&rights)?;
            let rows = self.batch().await?;
            if !rows.is_empty() {
                let records = rows.into_iter().map(Model::seen).collect();
                return Ok(Some(ExportAuditRecordsResponse { records }));
            }
        }
        Ok(None)
    }

    async fn batch(&mut self) -> Result<Vec<Model>, DbErr> {
        let until = self.end.min(self.after + WINDOW);
        let rows = Entity::find()
            .filter(Column::Sequence.gt(self.after))
            .filter(Column::Sequence.lte(until))
            .filter(self.filter.condition())
            .order_by_asc(Column::Sequence)
            .limit(BATCH)
            .all(self.service.database.read())
            .await?;
        let is_full = u64::try_from(rows.len()).is_ok_and(|count| count == BATCH);
        let last = rows.last().and_then(|row| row.sequence).filter(|_| is_full);
        self.after = last.unwrap_or(until);
        Ok(rows)
    }
}
