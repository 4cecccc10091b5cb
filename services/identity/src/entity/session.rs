use db::{Database, Transaction};
use kernel::{Clock, Duration, Time};
use sea_orm::{IntoActiveModel as _, entity::prelude::*, sea_query::Expr};

/// How long a session lasts without a refresh.
pub(crate) const IDLE: Duration = Duration::days(14);

/// A sign-in and its refreshes.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_id: Uuid,
    /// The one refresh token that is good now; earlier ones betray a copy.
    pub generation: i32,
    pub created_at: DateTimeUtc,
    pub expires_at: DateTimeUtc,
    pub revoked_at: Option<DateTimeUtc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Begins a session of a user.
pub(crate) async fn begin(tx: &Transaction, clock: &Clock, user_id: Uuid) -> Result<Model, DbErr> {
    let now = clock.now();
    let session = Model {
        id: clock.new_id(),
        user_id,
        generation: 1,
        created_at: now,
        expires_at: now + IDLE,
        revoked_at: None,
    };
    let row = session.clone().into_active_model();
    Entity::insert(row).exec_without_returning(&**tx).await?;
    Ok(session)
}

/// Ends a session: no refresh from now on.
pub(crate) async fn end(tx: &Transaction, session: Uuid, now: Time) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::RevokedAt, Expr::value(now))
        .filter(Column::Id.eq(session))
        .filter(Column::RevokedAt.is_null())
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Forgets sessions whose time was over at `until`; ended ones run out like all others.
pub(crate) async fn prune(database: &Database, until: Time) -> Result<(), DbErr> {
    Entity::delete_many().filter(Column::ExpiresAt.lt(until)).exec(database.read()).await?;
    Ok(())
}
