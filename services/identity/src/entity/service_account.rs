use api::identity::v1 as proto;
use sea_orm::entity::prelude::*;

/// A caller that is not a person.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "service_accounts")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Unique.
    pub name: String,
    /// SHA-256: the secret has 256 random bits, so that nothing slower is needed.
    pub secret_hash: Vec<u8>,
    /// Space-separated.
    pub scopes: String,
    pub created_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The account of a name.
pub(crate) fn of_name(name: &str) -> Select<Entity> {
    Entity::find().filter(Column::Name.eq(name))
}

impl From<Model> for proto::ServiceAccount {
    fn from(account: Model) -> Self {
        Self {
            id: account.id.to_string(),
            name: account.name,
            scopes: account.scopes.split_whitespace().map(str::to_owned).collect(),
            created_at: Some(api::timestamp(account.created_at)),
        }
    }
}
