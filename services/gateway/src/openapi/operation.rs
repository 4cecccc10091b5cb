use std::collections::BTreeMap;

use axum::http::StatusCode;
use kernel::Violation;
use serde_json::Value;
use utoipa::{
    ToSchema,
    openapi::{
        ArrayBuilder, Content, HeaderBuilder, ObjectBuilder, Ref, RefOr, Required, ResponseBuilder,
        Type,
        path::{self, OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
        request_body::RequestBodyBuilder,
        schema::Schema,
        security::SecurityRequirement,
    },
};

use super::field::{self, Field};
use crate::problem::Problem;

/// What a program has to know of one operation.
pub(crate) struct Operation {
    summary: &'static str,
    status: u16,
    query: Vec<Field>,
    body: Vec<Field>,
    body_example: Option<Value>,
    answer: Option<Answered>,
    refusals: BTreeMap<u16, Vec<&'static str>>,
    needs_token: bool,
    is_repeatable: bool,
    is_conditional: bool,
    has_etag: bool,
}

/// What it answers, with the schemas that belong to it.
struct Answered {
    content_type: &'static str,
    schema: RefOr<Schema>,
    components: Vec<(String, RefOr<Schema>)>,
}

impl Operation {
    /// An operation that needs an access token, and answers with this status.
    pub fn new(summary: &'static str, status: u16) -> Self {
        Self {
            summary,
            status,
            query: Vec::new(),
            body: Vec::new(),
            body_example: None,
            answer: None,
            refusals: BTreeMap::new(),
            needs_token: true,
            is_repeatable: false,
            is_conditional: false,
            has_etag: false,
        }
    }

    /// It needs no access token.
    pub fn for_everybody(mut self) -> Self {
        self.needs_token = false;
        self
    }

    /// Parameters of the query.
    pub fn query(mut self, fields: impl IntoIterator<Item = Field>) -> Self {
        self.query.extend(fields);
        self
    }

    /// Members of the body.
    pub fn body(mut self, fields: impl IntoIterator<Item = Field>) -> Self {
        self.body.extend(fields);
        self
    }

    /// A body that works, where not all members go together.
    pub fn body_example(mut self, example: Value) -> Self {
        self.body_example = Some(example);
        self
    }

    /// It takes an `Idempotency-Key`.
    pub fn repeatable(mut self) -> Self {
        self.is_repeatable = true;
        self
    }

    /// It takes an `If-Match`.
    pub fn conditional(mut self) -> Self {
        self.is_conditional = true;
        self.refuses(409, &["ETAG_MISMATCH"]).refuses(412, &["ETAG_MISMATCH"])
    }

    /// Its answer has an `ETag`.
    pub fn tagged(mut self) -> Self {
        self.has_etag = true;
        self
    }

    pub fn answers<T: ToSchema>(self) -> Self {
        self.answers_as::<T>("application/json")
    }

    pub fn answers_as<T: ToSchema>(mut self, content_type: &'static str) -> Self {
        let schema = Ref::from_schema_name(T::name()).into();
        self.answer = Some(Answered { content_type, schema, components: components::<T>() });
        self
    }

    /// An object that is described elsewhere.
    pub fn answers_object(mut self) -> Self {
        let schema = ObjectBuilder::new().schema_type(Type::Object).into();
        let content_type = "application/json";
        self.answer = Some(Answered { content_type, schema, components: Vec::new() });
        self
    }

    /// A list that is not cut into pages.
    pub fn answers_list<T: ToSchema>(mut self) -> Self {
        let item = RefOr::<Schema>::from(Ref::from_schema_name(T::name()));
        let schema = ArrayBuilder::new().items(item).into();
        let content_type = "application/json";
        self.answer = Some(Answered { content_type, schema, components: components::<T>() });
        self
    }

    /// Reasons that a refusal with this status can have, beside those of every operation.
    pub fn refuses(mut self, status: u16, reasons: &[&'static str]) -> Self {
        self.refusals.entry(status).or_default().extend(reasons);
        self
    }

    /// The schemas that it needs, by their names.
    pub fn take_components(&mut self) -> Vec<(String, RefOr<Schema>)> {
        self.answer
            .as_mut()
            .map(|answer| std::mem::take(&mut answer.components))
            .unwrap_or_default()
    }

    /// As the document has it.
    pub fn written(mut self, path: &str, tag: &str) -> path::Operation {
        self.refuse_as_every_operation(path.contains('{'));
        let mut written = OperationBuilder::new().summary(Some(self.summary)).tag(tag).security(
            if self.needs_token {
                SecurityRequirement::new("access_token", [""; 0])
            } else {
                SecurityRequirement::default()
            },
        );
        for parameter in path_parameters(path) {
            written = written.parameter(parameter);
        }
        for field in &self.query {
            written = written.parameter(field.parameter());
        }
        if self.is_repeatable {
            let about = "A UUID. A repetition within 24 hours answers as the first request did.";
            let id = ObjectBuilder::new().schema_type(Type::String).format(Some(field::uuid()));
            written = written.parameter(header("Idempotency-Key", about, id));
        }
        if self.is_conditional {
            let about = "The `ETag` of an earlier answer: nothing is changed if it is stale.";
            let tag = ObjectBuilder::new().schema_type(Type::String);
            written = written.parameter(header("If-Match", about, tag));
        }
        if !self.body.is_empty() {
            let is_needed = self.body.iter().any(|field| field.is_required);
            let mut content = Content::new(Some(field::object(&self.body)));
            content.example = self.body_example.take();
            let body = RequestBodyBuilder::new()
                .content("application/json", content)
                .required(Some(if is_needed { Required::True } else { Required::False }));
            written = written.request_body(Some(body.build()));
        }
        for (status, reasons) in &self.refusals {
            written = written.response(status.to_string(), refusal(*status, reasons));
        }
        let failed = "OVERLOADED, UNAVAILABLE, DEADLINE_EXCEEDED, INTERNAL";
        written
            .response("default", problem(failed, Problem::overloaded()))
            .response(self.status.to_string(), self.success())
            .build()
    }

    fn refuse_as_every_operation(&mut self, has_path_parameters: bool) {
        if has_path_parameters
            || self.is_repeatable
            || !self.query.is_empty()
            || !self.body.is_empty()
        {
            self.refusals.entry(400).or_default().push("INVALID_ARGUMENT");
        }
        if !self.body.is_empty() {
            self.refusals.entry(400).or_default().push("BODY_MALFORMED");
            self.refusals.entry(413).or_default().push("BODY_TOO_LARGE");
            self.refusals.entry(415).or_default().push("CONTENT_TYPE_UNSUPPORTED");
        }
        if self.needs_token {
            self.refusals.entry(401).or_default().push("TOKEN_INVALID");
        }
        if self.is_repeatable {
            self.refusals.entry(409).or_default().push("REQUEST_ID_REUSED");
        }
    }

    fn success(self) -> ResponseBuilder {
        let code = StatusCode::from_u16(self.status).unwrap_or_default();
        let text =
            || HeaderBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::String)));
        let mut response =
            ResponseBuilder::new().description(code.canonical_reason().unwrap_or_default());
        if code == StatusCode::CREATED {
            response = response.header("Location", text().build());
        }
        if self.has_etag {
            response = response.header("ETag", text().build());
        }
        match self.answer {
            Some(answer) => {
                response.content(answer.content_type, Content::new(Some(answer.schema)))
            }
            None => response,
        }
    }
}

fn components<T: ToSchema>() -> Vec<(String, RefOr<Schema>)> {
    let mut components = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut components);
    components
}

/// `{id}` and the like.
fn path_parameters(path: &str) -> impl Iterator<Item = Parameter> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    names.map(|name| {
        let text = ObjectBuilder::new().schema_type(Type::String);
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .schema(Some(text))
            .build()
    })
}

fn header(name: &str, about: &str, schema: ObjectBuilder) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(about))
        .schema(Some(schema))
        .build()
}

fn refusal(status: u16, reasons: &[&'static str]) -> ResponseBuilder {
    let code = StatusCode::from_u16(status).unwrap_or_default();
    let first = reasons.first().copied().unwrap_or_default();
    let example = if first == "INVALID_ARGUMENT" {
        let (field, description) = ("organisation_id".to_owned(), "expected a UUID".to_owned());
        Problem::invalid(vec![Violation { field, description }])
    } else {
        Problem::new(code, first, "What happened, as a sentence for people.")
    };
    problem(&reasons.join(", "), example)
}

fn problem(reasons: &str, example: Problem) -> ResponseBuilder {
    let schema = RefOr::<Schema>::from(Ref::from_schema_name("Problem"));
    let mut content = Content::new(Some(schema));
    content.example = serde_json::to_value(example.document()).ok();
    ResponseBuilder::new().description(reasons).content("application/problem+json", content)
}
