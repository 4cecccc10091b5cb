use kernel::{Uuid, words};
use sea_orm::{ActiveValue::Set, ConnectionTrait, entity::prelude::*};

/// A word of an organisation's name, folded, as UTF-8: a search looks for words that begin so.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "organisation_words")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub word: Vec<u8>,
    #[sea_orm(primary_key, auto_increment = false)]
    pub organisation_id: Uuid,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Writes the words of a name in the place of those before.
pub(crate) async fn write(
    tx: &impl ConnectionTrait,
    organisation: Uuid,
    name: &str,
) -> Result<(), DbErr> {
    Entity::delete_many().filter(Column::OrganisationId.eq(organisation)).exec(tx).await?;
    let rows: Vec<_> = words(name)
        .into_iter()
        .map(|word| ActiveModel {
            word: Set(word.into_bytes()),
            organisation_id: Set(organisation),
        })
        .collect();
    // A name without a letter or digit is found by none.
    if rows.is_empty() {
        return Ok(());
    }
    Entity::insert_many(rows).exec_without_returning(tx).await.map(|_| ())
}
