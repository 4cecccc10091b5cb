use kernel::Uuid;
use sea_orm::{
    ConnectionTrait, ExprTrait as _, IntoActiveModel as _, QuerySelect as _, QueryTrait as _,
    entity::prelude::*,
    sea_query::{Expr, Query, SelectStatement},
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

/// The identifiers of a node and of all below it.
pub(crate) fn subtree(id: Uuid) -> SelectStatement {
    Entity::find()
        .select_only()
        .column(Column::OrganisationId)
        .filter(Column::AncestorId.eq(id))
        .into_query()
}

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

/// Hangs a node with all below it under another parent: for each of them, what was above the node
/// goes and what is above its new parent comes. What is within the moved part stays as it is.
pub(crate) async fn relocate(
    tx: &impl ConnectionTrait,
    id: Uuid,
    new_parent: Uuid,
) -> Result<(), DbErr> {
    let above = Entity::find()
        .filter(Column::OrganisationId.eq(id))
        .filter(Column::Distance.gt(0))
        .all(tx)
        .await?;
    Entity::delete_many()
        .filter(Column::OrganisationId.in_subquery(subtree(id)))
        .filter(Column::AncestorId.is_in(above.into_iter().map(|row| row.ancestor_id)))
        .exec(tx)
        .await?;
    let every_pair = Query::select()
        .column(("below", Column::OrganisationId))
        .column(("above", Column::AncestorId))
        .expr(
            Expr::col(("below", Column::Distance))
                .add(Expr::col(("above", Column::Distance)))
                .add(1),
        )
        .from_as(Entity, "below")
        .from_as(Entity, "above")
        .and_where(Expr::col(("below", Column::AncestorId)).eq(id))
        .and_where(Expr::col(("above", Column::OrganisationId)).eq(new_parent))
        .to_owned();
    let insert = Query::insert()
        .into_table(Entity)
        .columns([Column::OrganisationId, Column::AncestorId, Column::Distance])
        .select_from(every_pair)
        .map_err(|error| DbErr::Custom(error.to_string()))?
        .to_owned();
    tx.execute(&insert).await.map(|_| ())
}
