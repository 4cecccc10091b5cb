use kernel::Uuid;
use sea_orm::{ActiveValue::Set, ConnectionTrait, entity::prelude::*, sea_query::OnConflict};

/// What lists show of a user: a copy of what the identity service owns, so that a list of members
/// is one query.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "people")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
    pub email: String,
    pub display_name: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Takes over what is known of a user now.
pub(crate) async fn remember(
    tx: &impl ConnectionTrait,
    user_id: Uuid,
    email: &str,
    display_name: &str,
) -> Result<(), DbErr> {
    let row = ActiveModel {
        user_id: Set(user_id),
        email: Set(email.to_owned()),
        display_name: Set(display_name.to_owned()),
    };
    let anew = OnConflict::column(Column::UserId)
        .update_columns([Column::Email, Column::DisplayName])
        .to_owned();
    Entity::insert(row).on_conflict(anew).exec_without_returning(tx).await.map(|_| ())
}
