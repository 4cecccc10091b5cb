use kernel::fold;
use sea_orm::{DbErr, EntityTrait as _};
use sea_orm_migration::prelude::*;

use super::{add_columns, index};
use crate::entity::{invitation::Column as Invitation, membership::Column as Membership, person};

/// Lists of members by state, and by the address that somebody is looked for with.
///
/// The column has a constant default: `people` is locked for a moment, and filling it in takes a
/// statement a row. `memberships` and `invitations` are locked against writing while each index is
/// built.
pub(crate) struct MembersFound;

impl MigrationName for MembersFound {
    fn name(&self) -> &str {
        "m0013_members_found"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for MembersFound {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // The few of an organisation who are set aside, and those whose time is not without bounds.
        let suspended = || Expr::col(Membership::State).eq("suspended");
        let bounded = || Expr::col(Membership::NextChangeAt).is_not_null();
        for (name, by_name, condition) in [
            ("memberships_suspended", "memberships_suspended_name", suspended()),
            ("memberships_bounded", "memberships_bounded_name", bounded()),
        ] {
            let page = index(name, "memberships")
                .col(Membership::OrganisationId)
                .col(Membership::Id)
                .and_where(condition.clone())
                .take();
            manager.create_index(page).await?;
            let page = index(by_name, "memberships")
                .col(Membership::OrganisationId)
                .col(Membership::SearchName)
                .col(Membership::Id)
                .and_where(condition)
                .take();
            manager.create_index(page).await?;
        }
        // Those invited who have not answered, in the order of the invitations.
        let waiting = index("invitations_waiting", "invitations")
            .col(Invitation::OrganisationId)
            .col(Invitation::Id)
            .and_where(Expr::col(Invitation::State).eq("pending"))
            .take();
        manager.create_index(waiting).await?;
        add_columns(
            manager,
            "people",
            [ColumnDef::new(person::Column::SearchEmail).blob().not_null().default("")],
        )
        .await?;
        let by_address =
            index("people_search_email", "people").col(person::Column::SearchEmail).take();
        manager.create_index(by_address).await?;
        fill_in_addresses(manager).await
    }
}

async fn fill_in_addresses(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    for row in person::Entity::find().all(manager.get_connection()).await? {
        let update = Query::update()
            .table("people")
            .value(person::Column::SearchEmail, fold(&row.email).into_bytes())
            .and_where(Expr::col(person::Column::UserId).eq(row.user_id))
            .to_owned();
        manager.execute(update).await?;
    }
    Ok(())
}
