//! Joins whose cost does not rest on what a planner believes.

use sea_orm::{
    Condition, ConnectionTrait, DbBackend, EntityTrait, JoinType, QueryTrait as _, Select,
    sea_query::{Alias, Asterisk, Query},
};

/// Joins a table by its whole key: to each row of a query the rows of the table that meet a condition,
/// which says the key's columns by those of the row. As an inner join, but each row asks for its own.
///
/// The plan of a prepared statement is made once for whatever it is asked with. PostgreSQL then
/// believes of everybody what holds on average: that a subject has one membership. It enters a table
/// by the subject alone, again for each row before, and for somebody who has five thousand that is
/// 25 million rows instead of 5000. It can only ask a subquery that has an offset, and that refers to
/// the rows before it, row by row and by all that the condition says. SQLite goes by an index's
/// columns and needs no such thing.
pub fn probe<E: EntityTrait, T: EntityTrait>(
    connection: &impl ConnectionTrait,
    mut rows: Select<E>,
    table: T,
    key: Condition,
) -> Select<E> {
    let query = rows.query();
    match connection.get_database_backend() {
        DbBackend::Postgres => {
            let found =
                Query::select().column(Asterisk).from(table).cond_where(key).offset(0).to_owned();
            let name = Alias::new(table.table_name());
            query.join_lateral(JoinType::InnerJoin, found, name, Condition::all());
        }
        _ => {
            query.join(JoinType::InnerJoin, table, key);
        }
    }
    rows
}
