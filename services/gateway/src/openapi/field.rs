use utoipa::openapi::{
    ArrayBuilder, KnownFormat, ObjectBuilder, RefOr, Required, SchemaFormat, Type,
    path::{Parameter, ParameterBuilder, ParameterIn},
    schema::{Schema, SchemaType},
};

use crate::input::Words;

/// A member of a body, or a parameter of a query.
pub(crate) struct Field {
    pub name: &'static str,
    about: &'static str,
    kind: Kind,
    pub is_required: bool,
    is_nullable: bool,
}

enum Kind {
    Text,
    Id,
    Time,
    Number,
    Flag,
    Texts,
    Words(Vec<&'static str>),
    Object(Vec<Field>),
    Objects(Vec<Field>),
}

impl Field {
    fn new(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self { name, about, kind, is_required: false, is_nullable: false }
    }

    pub fn text(name: &'static str, about: &'static str) -> Self {
        Self::new(name, Kind::Text, about)
    }

    pub fn id(name: &'static str, about: &'static str) -> Self {
        Self::new(name, Kind::Id, about)
    }

    pub fn time(name: &'static str, about: &'static str) -> Self {
        Self::new(name, Kind::Time, about)
    }

    pub fn number(name: &'static str, about: &'static str) -> Self {
        Self::new(name, Kind::Number, about)
    }

    pub fn flag(name: &'static str, about: &'static str) -> Self {
        Self::new(name, Kind::Flag, about)
    }

    pub fn texts(name: &'static str, about: &'static str) -> Self {
        Self::new(name, Kind::Texts, about)
    }

    pub fn one_of<T>(name: &'static str, words: &Words<T>, about: &'static str) -> Self {
        Self::new(name, Kind::Words(words.iter().map(|(word, _)| *word).collect()), about)
    }

    pub fn object(name: &'static str, fields: Vec<Self>, about: &'static str) -> Self {
        Self::new(name, Kind::Object(fields), about)
    }

    pub fn objects(name: &'static str, fields: Vec<Self>, about: &'static str) -> Self {
        Self::new(name, Kind::Objects(fields), about)
    }

    /// It must be there.
    pub fn required(mut self) -> Self {
        self.is_required = true;
        self
    }

    /// `null` takes away what was there.
    pub fn nullable(mut self) -> Self {
        self.is_nullable = true;
        self
    }

    /// The two parameters of every list.
    pub fn paging() -> [Self; 2] {
        [
            Self::number("page_size", "How many at most, 1 to 100; 50 if it is left out."),
            Self::text("page_token", "The `next_page_token` of the page before."),
        ]
    }

    /// As a parameter of the query.
    pub fn parameter(&self) -> Parameter {
        ParameterBuilder::new()
            .name(self.name)
            .parameter_in(ParameterIn::Query)
            .required(if self.is_required { Required::True } else { Required::False })
            .description(Some(self.about))
            .schema(Some(self.schema()))
            .build()
    }

    fn schema(&self) -> RefOr<Schema> {
        let simple = |kind: Type| {
            let kind = if self.is_nullable {
                SchemaType::from_iter([kind, Type::Null])
            } else {
                kind.into()
            };
            ObjectBuilder::new().schema_type(kind).description(Some(self.about))
        };
        let object = match &self.kind {
            Kind::Text => simple(Type::String),
            Kind::Id => simple(Type::String).format(Some(uuid())),
            Kind::Time => {
                simple(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            }
            Kind::Number => simple(Type::Integer),
            Kind::Flag => simple(Type::Boolean),
            Kind::Words(words) => {
                let absent = self.is_nullable.then_some(serde_json::Value::Null);
                let words = words.iter().copied().map(serde_json::Value::from);
                simple(Type::String).enum_values(Some(words.chain(absent)))
            }
            Kind::Object(fields) => with(simple(Type::Object), fields),
            Kind::Texts => {
                return array(self.about, ObjectBuilder::new().schema_type(Type::String));
            }
            Kind::Objects(fields) => {
                let item = ObjectBuilder::new().schema_type(Type::Object);
                return array(self.about, with(item, fields));
            }
        };
        object.into()
    }
}

/// The format of an identifier.
pub(super) fn uuid() -> SchemaFormat {
    SchemaFormat::Custom("uuid".to_owned())
}

/// The object that has these members.
pub(super) fn object(fields: &[Field]) -> RefOr<Schema> {
    with(ObjectBuilder::new().schema_type(Type::Object), fields).into()
}

fn with(object: ObjectBuilder, fields: &[Field]) -> ObjectBuilder {
    fields.iter().fold(object, |object, field| {
        let object = object.property(field.name, field.schema());
        if field.is_required { object.required(field.name) } else { object }
    })
}

fn array(about: &str, item: ObjectBuilder) -> RefOr<Schema> {
    ArrayBuilder::new().items(RefOr::<Schema>::from(item)).description(Some(about)).into()
}

/// The schema of a member that is answered as one of these words.
pub(crate) fn words<T>(words: &Words<T>) -> utoipa::openapi::Object {
    let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).build()
}
