use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};

use crate::problem::Problem;

/// The one variable part of a path, percent-decoded. Whether it is an identifier is for the service
/// that owns the data to say.
///
/// Errors: 404 for what is no text.
pub(crate) struct Id(pub String);

/// The variable parts of a path that has several, in their order; else as [`Id`].
pub(crate) struct Ids<T>(pub T);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Ids::from_request_parts(parts, state).await.map(|Ids(id)| Self(id))
    }
}

impl<S: Send + Sync, T: serde::de::DeserializeOwned + Send> FromRequestParts<S> for Ids<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(ids)) => Ok(Self(ids)),
            Err(_) => Err(Problem::path_unknown()),
        }
    }
}
