use api::identity::v1 as proto;
use kernel::EmailAddress;
use sea_orm::entity::prelude::*;

/// One account for one person.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Normalised, unique.
    pub email: String,
    pub display_name: String,
    pub status: Status,
    /// A PHC string. Until enrolment none, or one of a password that nobody knows.
    pub password_hash: Option<String>,
    pub is_platform_owner: bool,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
pub(crate) enum Status {
    Invited,
    Active,
    Suspended,
    Disposed,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The account of an address.
pub(crate) fn of_email(email: &EmailAddress) -> Select<Entity> {
    Entity::find().filter(Column::Email.eq(email.as_str()))
}

impl From<Model> for proto::User {
    fn from(user: Model) -> Self {
        let status = match user.status {
            Status::Invited => proto::UserStatus::Invited,
            Status::Active => proto::UserStatus::Active,
            Status::Suspended => proto::UserStatus::Suspended,
            Status::Disposed => proto::UserStatus::Disposed,
        };
        Self {
            id: user.id.to_string(),
            email: user.email,
            display_name: user.display_name,
            status: status.into(),
            created_at: Some(api::timestamp(user.created_at)),
            updated_at: Some(api::timestamp(user.updated_at)),
        }
    }
}
