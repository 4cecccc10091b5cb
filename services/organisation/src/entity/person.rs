use std::collections::HashMap;

use kernel::{Uuid, fold};
use sea_orm::{
    ActiveValue::Set,
    ConnectionTrait,
    entity::prelude::*,
    sea_query::{Expr, OnConflict},
};
use service::{Caller, CallerKind};

use super::membership;

/// What lists show of a user or service account: a copy of what the identity service owns, so that a
/// list of members is one query. Of a service account there is a name and no address.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "people")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
    pub email: String,
    pub display_name: String,
    /// The address folded, as UTF-8: what is searched by.
    pub search_email: Vec<u8>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Some people, by their identifiers.
pub(crate) async fn of(
    connection: &impl ConnectionTrait,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, Model>, DbErr> {
    let rows = Entity::find().filter(Column::UserId.is_in(ids.iter().copied())).all(connection);
    Ok(rows.await?.into_iter().map(|row| (row.user_id, row)).collect())
}

/// Who has these addresses, as far as is known here.
pub(crate) async fn of_emails(
    connection: &impl ConnectionTrait,
    emails: &[&str],
) -> Result<HashMap<String, Uuid>, DbErr> {
    let rows =
        Entity::find().filter(Column::Email.is_in(emails.iter().copied())).all(connection).await?;
    Ok(rows.into_iter().map(|row| (row.email, row.user_id)).collect())
}

/// Takes over what a person's token says of them: nothing for a service account.
pub(crate) async fn remember_caller(
    tx: &impl ConnectionTrait,
    caller: &Caller,
) -> Result<(), DbErr> {
    match &caller.kind {
        CallerKind::Person { email, display_name, .. } => {
            remember(tx, caller.subject, email.as_str(), display_name).await
        }
        CallerKind::Service { .. } => Ok(()),
    }
}

/// Takes over what is known of a user now. What is known already is not written again, so that many
/// transactions of one person do not wait for one another.
pub(crate) async fn remember(
    tx: &impl ConnectionTrait,
    user_id: Uuid,
    email: &str,
    display_name: &str,
) -> Result<(), DbErr> {
    let known = Entity::find_by_id(user_id).one(tx).await?;
    if known.is_some_and(|it| it.email == email && it.display_name == display_name) {
        return Ok(());
    }
    let row = ActiveModel {
        user_id: Set(user_id),
        email: Set(email.to_owned()),
        display_name: Set(display_name.to_owned()),
        search_email: Set(fold(email).into_bytes()),
    };
    let anew = OnConflict::column(Column::UserId)
        .update_columns([Column::Email, Column::DisplayName, Column::SearchEmail])
        .to_owned();
    Entity::insert(row).on_conflict(anew).exec_without_returning(tx).await?;
    // Lists of members are ordered by name.
    membership::Entity::update_many()
        .col_expr(membership::Column::SearchName, Expr::value(fold(display_name).into_bytes()))
        .filter(membership::Column::SubjectId.eq(user_id))
        .exec(tx)
        .await
        .map(|_| ())
}
