//! Use cases about templates, one a file.

pub(crate) mod render;
