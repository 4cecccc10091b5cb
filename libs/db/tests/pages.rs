//! Pages in every order, on both databases.

use db::{Database, DbErr, PageRequest};
use kernel::{Fields, Uuid, fold};
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, ConnectionTrait as _, DbBackend,
    EntityTrait as _, QueryFilter as _, QueryTrait as _, Select,
};
use sea_orm_migration::{MigratorTrait, prelude::*};
use testkit::Bench;

testkit::on_both_databases!(
    every_order_has_every_row_once,
    two_lists_are_merged_into_one,
    a_page_is_found_by_an_index,
);

mod person {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "people")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub group: i32,
        pub name: Vec<u8>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

use person::Column;

struct Tables;

impl MigratorTrait for Tables {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(People)]
    }
}

struct People;

impl MigrationName for People {
    fn name(&self) -> &str {
        "people"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for People {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("people")
                    .col(ColumnDef::new(Column::Id).uuid().not_null().primary_key())
                    .col(ColumnDef::new(Column::Group).integer().not_null())
                    .col(ColumnDef::new(Column::Name).binary().not_null())
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("people_name")
                    .table("people")
                    .col(Column::Group)
                    .col(Column::Name)
                    .col(Column::Id)
                    .to_owned(),
            )
            .await
    }
}

/// Names of which several are one when they are folded, and whose order as texts depends on the
/// collation; the last has a byte that ends a text elsewhere.
const NAMES: [&str; 9] = ["zoe", "Ada", "ada", "ÁDA", "Zürich", "bo b", "bob", "Ωmega", "\0"];

/// Everybody in the order of creation; they are in two groups by turns.
async fn people(bench: &Bench) -> (Database, Vec<person::Model>) {
    let database = bench.infra.database("test").await.unwrap();
    db::migration::migrate::<Tables>(&database).await.unwrap();
    let mut people = Vec::new();
    for (name, group) in NAMES.iter().zip([0, 1].into_iter().cycle()) {
        let row = person::ActiveModel {
            id: Set(bench.infra.clock.new_id()),
            group: Set(group),
            name: Set(fold(name).into_bytes()),
        };
        people.push(row.insert(database.read()).await.unwrap());
    }
    (database, people)
}

fn page(order_by: &str, token: &str) -> PageRequest {
    let mut fields = Fields::default();
    PageRequest::parse_ordered(&mut fields, 2, token, order_by, &["name"]).unwrap()
}

fn rows(page: &PageRequest, group: Option<i32>) -> Select<person::Entity> {
    let rows = person::Entity::find()
        .filter(Condition::all().add_option(group.map(|group| Column::Group.eq(group))));
    page.apply(rows, page.key().map(|_| Column::Name), Column::Id)
}

fn place(row: &person::Model) -> (Vec<u8>, Uuid) {
    (row.name.clone(), row.id)
}

fn in_order(order_by: &str, mut people: Vec<person::Model>) -> Vec<person::Model> {
    let page = page(order_by, "");
    match page.key() {
        Some(_) => people.sort_by_key(place),
        None => people.sort_by_key(|row| row.id),
    }
    if page.descending() {
        people.reverse();
    }
    people
}

const ORDERS: [&str; 4] = ["", "created_at desc", "name", "name desc"];

async fn every_order_has_every_row_once(bench: Bench) {
    let (database, people) = people(&bench).await;
    for order in ORDERS {
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let page = page(order, &token);
            let fetched = rows(&page, None).all(database.read()).await.unwrap();
            let page = page.cut_ordered(fetched, place);
            seen.extend(page.rows);
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, in_order(order, people.clone()), "{order}");
    }
}

async fn two_lists_are_merged_into_one(bench: Bench) {
    let (database, people) = people(&bench).await;
    for order in ORDERS {
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let page = page(order, &token);
            let mut both = Vec::new();
            for group in [0, 1] {
                both.extend(rows(&page, Some(group)).all(database.read()).await.unwrap());
            }
            let page = page.cut_ordered(in_order(order, both), place);
            seen.extend(page.rows);
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, in_order(order, people.clone()), "{order}");
    }
}

async fn a_page_is_found_by_an_index(bench: Bench) {
    let (database, people) = people(&bench).await;
    for order in ["name", "name desc"] {
        let first = page(order, "").cut_ordered(people.clone(), place);
        let tx = database.begin().await.unwrap();
        let query = rows(&page(order, &first.next_page_token), Some(0));
        let mut explain = query.build(tx.get_database_backend());
        // Each engine has words of its own for it.
        let (words, column, expected) = match tx.get_database_backend() {
            DbBackend::Sqlite => ("EXPLAIN QUERY PLAN", 3, "people_name (group=? AND (name,id)"),
            _ => {
                // So few rows are read faster as they lie.
                let off = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off";
                tx.execute_unprepared(off).await.unwrap();
                ("EXPLAIN", 0, "ROW(name, id)")
            }
        };
        explain.sql = format!("{words} {}", explain.sql);
        let lines = tx.query_all_raw(explain).await.unwrap();
        let plan: Vec<String> =
            lines.iter().map(|line| line.try_get_by_index(column).unwrap()).collect();
        let plan = plan.join("\n");
        assert!(plan.contains(expected), "{plan}");
        assert!(!plan.contains("Sort") && !plan.contains("TEMP B-TREE"), "{plan}");
    }
}
