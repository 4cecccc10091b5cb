use sea_orm::{DbErr, EntityTrait as _, IntoActiveModel as _};
use sea_orm_migration::prelude::*;

use super::{at, index};
use crate::entity::{
    audit_chain::{self, Column as Chain},
    audit_record::Column as Record,
};

/// Creates the history and the head of its chain. New tables: it locks nothing that is in use. They
/// refer to nothing, so that the history outlives what it tells of.
pub(crate) struct Audit;

impl MigrationName for Audit {
    fn name(&self) -> &str {
        "m0009_audit"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Audit {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("audit_records")
            .col(ColumnDef::new(Record::Id).uuid().not_null().primary_key())
            .col(ColumnDef::new(Record::Sequence).big_integer())
            .col(at(Record::At).not_null())
            .col(ColumnDef::new(Record::ActorId).uuid())
            .col(ColumnDef::new(Record::ActorKind).string_len(16).not_null())
            .col(ColumnDef::new(Record::OnBehalfOf).uuid())
            .col(ColumnDef::new(Record::Action).string_len(64).not_null())
            .col(ColumnDef::new(Record::Refusal).string_len(64).not_null())
            .col(ColumnDef::new(Record::OrganisationId).uuid())
            .col(ColumnDef::new(Record::TargetKind).string_len(32).not_null())
            .col(ColumnDef::new(Record::TargetId).uuid())
            .col(ColumnDef::new(Record::InvitationId).uuid())
            .col(ColumnDef::new(Record::AccessRequestId).uuid())
            .col(ColumnDef::new(Record::Details).text().not_null())
            .col(ColumnDef::new(Record::PreviousHash).blob())
            .col(ColumnDef::new(Record::Hash).blob())
            .to_owned();
        manager.create_table(table).await?;
        let chain =
            index("audit_records_chain", "audit_records").unique().col(Record::Sequence).take();
        manager.create_index(chain).await?;
        let waiting = index("audit_records_waiting", "audit_records")
            .col(Record::Id)
            .and_where(Expr::col(Record::Sequence).is_null())
            .take();
        manager.create_index(waiting).await?;
        for (name, column) in [
            ("audit_records_organisation", Record::OrganisationId),
            ("audit_records_actor", Record::ActorId),
            ("audit_records_target", Record::TargetId),
            ("audit_records_invitation", Record::InvitationId),
        ] {
            let page = index(name, "audit_records").col(column).col(Record::Id).take();
            manager.create_index(page).await?;
        }
        let table = Table::create()
            .table("audit_chain")
            .col(ColumnDef::new(Chain::Id).integer().not_null().primary_key())
            .col(ColumnDef::new(Chain::Sequence).big_integer().not_null())
            .col(ColumnDef::new(Chain::Hash).blob().not_null())
            .to_owned();
        manager.create_table(table).await?;
        let beginning = audit_chain::Model { id: 1, sequence: 0, hash: vec![0; 32] };
        let connection = manager.get_connection();
        let insert = audit_chain::Entity::insert(beginning.into_active_model());
        insert.exec_without_returning(connection).await.map(|_| ())
    }
}
