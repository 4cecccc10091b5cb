//! The table `template_versions`.

use kernel::{Time, Uuid};
use sea_orm::{
    ActiveValue::Set,
    Iterable as _, QueryOrder as _, QuerySelect as _, QueryTrait as _, Select,
    entity::prelude::*,
    sea_query::{CaseStatement, Expr, Query, SelectStatement, UnionType},
};

use super::sender;
use crate::domain::{
    place::Place,
    template::{Language, Template},
};

/// What was saved, or taken back, at one moment.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "template_versions")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub organisation_id: Uuid,
    /// The nil UUID for the organisation's own mails.
    pub application_id: Uuid,
    pub template: String,
    /// BCP 47, in lower case.
    pub language: String,
    /// Counts what was saved or taken back at this very place, from 1.
    pub version: i32,
    /// Empty if it was taken back.
    pub source: String,
    pub is_deletion: bool,
    /// Whether it is the newest at this very place.
    pub is_current: bool,
    pub created_by: Uuid,
    pub created_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// One override, whatever its versions: a template in a language at an organisation or application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub organisation_id: Uuid,
    pub application_id: Uuid,
    pub template: Template,
    pub language: Language,
}

impl Key {
    fn rows(&self) -> Select<Entity> {
        Entity::find()
            .filter(Column::OrganisationId.eq(self.organisation_id))
            .filter(Column::Template.eq(self.template.key()))
            .filter(Column::ApplicationId.eq(self.application_id))
            .filter(Column::Language.eq(self.language.tag()))
    }
}

/// The override that applies, if there is one: the first language that there is any in, and there the
/// nearest.
pub(crate) async fn applying(
    connection: &impl ConnectionTrait,
    place: &Place,
    template: Template,
    languages: &[Language],
) -> Result<Option<Model>, DbErr> {
    nearest(place, template, languages).one(connection).await
}

fn nearest(place: &Place, template: Template, languages: &[Language]) -> Select<Entity> {
    let tags: Vec<_> = languages.iter().map(Language::tag).collect();
    in_force(place)
        .filter(Column::Template.eq(template.key()))
        .filter(Column::Language.is_in(tags.iter().copied()))
        .order_by_asc(rank(Column::Language, &tags))
        .order_by_asc(rank(Column::ApplicationId, &place.applications()))
        .order_by_asc(rank(Column::OrganisationId, place.organisations()))
        .limit(1)
}

fn in_force(place: &Place) -> Select<Entity> {
    Entity::find()
        .filter(Column::OrganisationId.is_in(place.organisations().iter().copied()))
        .filter(Column::ApplicationId.is_in(place.applications()))
        .filter(Column::IsCurrent.eq(true))
        .filter(Column::IsDeletion.eq(false))
}

/// The place of a column's value in an order.
pub(super) fn rank<C: ColumnTrait, V: Clone + Into<Value>>(column: C, order: &[V]) -> Expr {
    let places = order.iter().zip(0_i32..);
    let ranks = places.fold(CaseStatement::new(), |ranks, (value, place)| {
        ranks.case(column.eq(value.clone()), Expr::value(place))
    });
    ranks.finally(Expr::value(i32::MAX)).into()
}

/// What a mail needs, in one query, because every mail asks: the override that applies, and the
/// sender.
pub(crate) async fn applying_with_sender(
    connection: &impl ConnectionTrait,
    place: &Place,
    template: Template,
    languages: &[Language],
) -> Result<(Option<Override>, Option<sender::Said>), DbErr> {
    // A limit within a union needs a query of its own around it on SQLite.
    let wrapped = |query: SelectStatement, name: &'static str| {
        Query::select().expr(Expr::cust("*")).from_subquery(query, name).to_owned()
    };
    let template = nearest(place, template, languages)
        .select_only()
        .expr_as(Expr::value(0_i32), "kind")
        .column_as(Column::OrganisationId, "organisation_id")
        .column_as(Column::Version, "version")
        .column_as(Column::Language, "first")
        .column_as(Column::Source, "second")
        .expr_as(Expr::value(""), "third")
        .into_query();
    let sender = sender::nearest(place)
        .select_only()
        .expr_as(Expr::value(1_i32), "kind")
        .column_as(sender::Column::OrganisationId, "organisation_id")
        .column_as(sender::Column::Version, "version")
        .column_as(sender::Column::DisplayName, "first")
        .column_as(sender::Column::ReplyTo, "second")
        .column_as(sender::Column::FromAddress, "third")
        .into_query();
    let both =
        wrapped(template, "template").union(UnionType::All, wrapped(sender, "sender")).to_owned();
    let (mut found, mut said) = (None, None);
    for row in connection.query_all(&both).await? {
        let text = |name: &str| row.try_get::<String>("", name);
        if row.try_get::<i32>("", "kind")? == 0 {
            found = Some(Override {
                organisation_id: row.try_get("", "organisation_id")?,
                version: row.try_get("", "version")?,
                language: text("first")?,
                source: text("second")?,
            });
        } else {
            said = Some(sender::Said {
                display_name: text("first")?,
                reply_to: text("second")?,
                from_address: text("third")?,
            });
        }
    }
    Ok((found, said))
}

/// What a mail is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Override {
    pub organisation_id: Uuid,
    pub version: i32,
    pub language: String,
    pub source: String,
}

impl From<Model> for Override {
    fn from(row: Model) -> Self {
        let Model { organisation_id, version, language, source, .. } = row;
        Self { organisation_id, version, language, source }
    }
}

/// Every override in force at a place or above it, without its text.
pub(crate) async fn all_in_force(
    connection: &impl ConnectionTrait,
    place: &Place,
) -> Result<Vec<Model>, DbErr> {
    without_source(in_force(place)).all(connection).await
}

fn without_source(rows: Select<Entity>) -> Select<Entity> {
    let rest = Column::iter().filter(|column| !matches!(column, Column::Source));
    rows.select_only().columns(rest).expr_as(Expr::value(""), "source")
}

/// What was saved last at this very place, or that it was taken back.
pub(crate) async fn newest(
    connection: &impl ConnectionTrait,
    key: &Key,
) -> Result<Option<Model>, DbErr> {
    key.rows().filter(Column::IsCurrent.eq(true)).one(connection).await
}

/// One version of an override.
pub(crate) async fn version(
    connection: &impl ConnectionTrait,
    key: &Key,
    version: i32,
) -> Result<Option<Model>, DbErr> {
    key.rows().filter(Column::Version.eq(version)).one(connection).await
}

/// The versions of an override on one page, without their texts.
pub(crate) async fn versions(
    connection: &impl ConnectionTrait,
    key: &Key,
    page: &db::PageRequest,
) -> Result<Vec<Model>, DbErr> {
    let rows = page.apply(key.rows(), None::<Column>, Column::Id);
    without_source(rows).all(connection).await
}

/// How many overrides an organisation or application has or had.
pub(crate) async fn count(
    connection: &impl ConnectionTrait,
    organisation_id: Uuid,
    application_id: Uuid,
) -> Result<u64, DbErr> {
    Entity::find()
        .filter(Column::OrganisationId.eq(organisation_id))
        .filter(Column::ApplicationId.eq(application_id))
        .filter(Column::IsCurrent.eq(true))
        .count(connection)
        .await
}

/// How many versions of an override are kept.
const KEPT: i32 = 50;

/// Who saves what.
pub(crate) struct Saved {
    pub id: Uuid,
    /// `None` takes the override back.
    pub source: Option<String>,
    pub by: Uuid,
    pub now: Time,
}

/// Compares and sets: makes a version the newest after `before`; `None` if another one came between.
/// Of the versions before it the latest are kept.
pub(crate) async fn save(
    connection: &impl ConnectionTrait,
    key: &Key,
    before: Option<&Model>,
    saved: Saved,
) -> Result<Option<Model>, DbErr> {
    let Saved { id, source, by, now } = saved;
    if let Some(before) = before {
        let update = Entity::update_many()
            .set(ActiveModel { is_current: Set(false), ..Default::default() })
            .filter(Column::Id.eq(before.id))
            .filter(Column::IsCurrent.eq(true));
        if update.exec(connection).await?.rows_affected == 0 {
            return Ok(None);
        }
    }
    let version = before.map_or(0, |before| before.version) + 1;
    let row = Model {
        id,
        organisation_id: key.organisation_id,
        application_id: key.application_id,
        template: key.template.key().to_owned(),
        language: key.language.tag().to_owned(),
        version,
        is_deletion: source.is_none(),
        source: source.unwrap_or_default(),
        is_current: true,
        created_by: by,
        created_at: now,
    };
    let insert = Entity::insert(ActiveModel::from(row.clone()));
    match insert.exec_without_returning(connection).await {
        Err(error) if db::is_unique_violation(&error) => {
            return Ok(None);
        }
        inserted => inserted?,
    };
    Entity::delete_many()
        .filter(Column::OrganisationId.eq(key.organisation_id))
        .filter(Column::Template.eq(key.template.key()))
        .filter(Column::ApplicationId.eq(key.application_id))
        .filter(Column::Language.eq(key.language.tag()))
        .filter(Column::Version.lte(version - KEPT))
        .exec(connection)
        .await?;
    Ok(Some(row))
}
