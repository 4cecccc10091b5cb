//! The OpenAPI document. A route and what is said of it are given together, so that neither is ever
//! there without the other; what is answered is described by the types that are serialised.

mod document;
mod example;
mod field;
mod operation;

use axum::{
    Router,
    handler::Handler,
    http::header::CONTENT_TYPE,
    routing::{MethodRouter, delete, get, patch, post, put},
};
use utoipa::openapi::HttpMethod;

pub(crate) use field::{Field, words};
pub(crate) use operation::Operation;

/// Routes for programs, with what the document says of them.
pub(crate) struct Routes<S = ()> {
    router: Router<S>,
    operations: Vec<Described>,
}

/// One operation, and where it is.
struct Described {
    path: &'static str,
    method: HttpMethod,
    /// The part of the API that it belongs to.
    tag: &'static str,
    operation: Operation,
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    pub fn new() -> Self {
        Self { router: Router::new(), operations: Vec::new() }
    }

    pub fn get<T: 'static>(
        self,
        path: &'static str,
        handler: impl Handler<T, S>,
        operation: Operation,
    ) -> Self {
        self.add(path, HttpMethod::Get, get(handler), operation)
    }

    pub fn post<T: 'static>(
        self,
        path: &'static str,
        handler: impl Handler<T, S>,
        operation: Operation,
    ) -> Self {
        self.add(path, HttpMethod::Post, post(handler), operation)
    }

    pub fn put<T: 'static>(
        self,
        path: &'static str,
        handler: impl Handler<T, S>,
        operation: Operation,
    ) -> Self {
        self.add(path, HttpMethod::Put, put(handler), operation)
    }

    pub fn patch<T: 'static>(
        self,
        path: &'static str,
        handler: impl Handler<T, S>,
        operation: Operation,
    ) -> Self {
        self.add(path, HttpMethod::Patch, patch(handler), operation)
    }

    pub fn delete<T: 'static>(
        self,
        path: &'static str,
        handler: impl Handler<T, S>,
        operation: Operation,
    ) -> Self {
        self.add(path, HttpMethod::Delete, delete(handler), operation)
    }

    fn add(
        mut self,
        path: &'static str,
        method: HttpMethod,
        handler: MethodRouter<S>,
        operation: Operation,
    ) -> Self {
        self.router = self.router.route(path, handler);
        self.operations.push(Described { path, method, tag: "", operation });
        self
    }

    /// Says which part of the API these routes are.
    pub fn tagged(mut self, tag: &'static str) -> Self {
        for described in &mut self.operations {
            described.tag = tag;
        }
        self
    }

    pub fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.operations.extend(other.operations);
        self
    }

    /// A middleware around these routes, or their state.
    pub fn map<T>(self, change: impl FnOnce(Router<S>) -> Router<T>) -> Routes<T> {
        Routes { router: change(self.router), operations: self.operations }
    }
}

/// The routes, with the document of all of them at `/api/openapi.json`.
pub(crate) fn serve(routes: Routes) -> Router {
    let Routes { router, mut operations } = routes;
    operations.push(Described {
        path: "/api/openapi.json",
        method: HttpMethod::Get,
        tag: "about",
        operation: Operation::new("Read this document", 200).for_everybody().answers_object(),
    });
    let document = document::written(operations);
    let answer = async move || ([(CONTENT_TYPE, "application/json")], document.clone());
    router.route("/api/openapi.json", get(answer))
}
