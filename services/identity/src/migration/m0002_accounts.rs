use sea_orm::DbErr;
use sea_orm_migration::prelude::*;

use crate::entity::{
    service_account::Column as ServiceAccount, session::Column as Session, user::Column as User,
};

/// Creates `users`, `sessions` and `service_accounts`. New tables: it locks nothing that is in use.
pub(crate) struct Accounts;

impl MigrationName for Accounts {
    fn name(&self) -> &str {
        "m0002_accounts"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Accounts {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("users")
                    .col(ColumnDef::new(User::Id).uuid().not_null().primary_key())
                    .col(ColumnDef::new(User::Email).string_len(254).not_null().unique_key())
                    .col(ColumnDef::new(User::DisplayName).string_len(200).not_null())
                    .col(ColumnDef::new(User::Status).string_len(16).not_null())
                    .col(ColumnDef::new(User::PasswordHash).text())
                    .col(ColumnDef::new(User::IsPlatformOwner).boolean().not_null())
                    .col(ColumnDef::new(User::CreatedAt).timestamp_with_time_zone().not_null())
                    .col(ColumnDef::new(User::UpdatedAt).timestamp_with_time_zone().not_null())
                    // Who can sign in has something to sign in with.
                    .check(
                        Expr::col(User::Status)
                            .ne("active")
                            .or(Expr::col(User::PasswordHash).is_not_null()),
                    )
                    .to_owned(),
            )
            .await?;
        // Several instances may start for the first time together: there is one platform owner.
        manager
            .create_index(
                Index::create()
                    .unique()
                    .name("users_one_platform_owner")
                    .table("users")
                    .col(User::IsPlatformOwner)
                    .and_where(Expr::col(User::IsPlatformOwner).eq(true))
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("sessions")
                    .col(ColumnDef::new(Session::Id).uuid().not_null().primary_key())
                    .col(ColumnDef::new(Session::UserId).uuid().not_null())
                    .col(ColumnDef::new(Session::Generation).integer().not_null())
                    .col(ColumnDef::new(Session::CreatedAt).timestamp_with_time_zone().not_null())
                    .col(ColumnDef::new(Session::ExpiresAt).timestamp_with_time_zone().not_null())
                    .col(ColumnDef::new(Session::RevokedAt).timestamp_with_time_zone())
                    .foreign_key(
                        ForeignKey::create()
                            .from("sessions", Session::UserId)
                            .to("users", User::Id),
                    )
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("sessions_user")
                    .table("sessions")
                    .col(Session::UserId)
                    .to_owned(),
            )
            .await?;
        // What is over is forgotten every hour.
        manager
            .create_index(
                Index::create()
                    .name("sessions_expires_at")
                    .table("sessions")
                    .col(Session::ExpiresAt)
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("service_accounts")
                    .col(ColumnDef::new(ServiceAccount::Id).uuid().not_null().primary_key())
                    .col(
                        ColumnDef::new(ServiceAccount::Name).string_len(64).not_null().unique_key(),
                    )
                    .col(ColumnDef::new(ServiceAccount::SecretHash).binary().not_null())
                    .col(ColumnDef::new(ServiceAccount::Scopes).text().not_null())
                    .col(
                        ColumnDef::new(ServiceAccount::CreatedAt)
                            .timestamp_with_time_zone()
                            .not_null(),
                    )
                    .to_owned(),
            )
            .await
    }
}
