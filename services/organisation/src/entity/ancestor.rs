use kernel::Uuid;
use sea_orm::{
    ConnectionTrait, ExprTrait as _, IntoActiveModel as _, QuerySelect as _, QueryTrait as _,
    entity::prelude::*,
    sea_query::{Expr, Query},
};

/// The closure of the tree: a row for each node and each of its ancestors, itself included.
///
/// A check asks for the memberships at a node's ancestors: with this table that is a range of at
/// most ten rows of its primary key, whatever the depth, and a move rewrites only the moved part.
/// A materialised path would save the rows and cost string work in every check; a recursive query
/// would cost one step a tier.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "organisation_ancestors")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub organisation_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub ancestor_id: Uuid,
    /// 0 for the node itself.
    pub distance: i32,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Writes the ancestry of a new node: its parent's, one further away, and itself.
pub(crate) async fn insert(tx: &impl ConnectionTrait, id: Uuid, parent: Uuid) -> Result<(), DbErr> {
    let of_parent = Entity::find()
        .select_only()
        .expr(Expr::value(id))
        .column(Column::AncestorId)
        .expr(Expr::col(Column::Distance).add(1))
        .filter(Column::OrganisationId.eq(parent))
        .into_query();
    let insert = Query::insert()
        .into_table(Entity)
        .columns([Column::OrganisationId, Column::AncestorId, Column::Distance])
        .select_from(of_parent)
        .map_err(|error| DbErr::Custom(error.to_string()))?
        .to_owned();
    tx.execute(&insert).await?;
    let itself = Model { organisation_id: id, ancestor_id: id, distance: 0 };
    Entity::insert(itself.into_active_model()).exec_without_returning(tx).await.map(|_| ())
}
