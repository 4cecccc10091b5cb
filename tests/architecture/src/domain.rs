//! The rules without I/O stay without it.

use crate::{
    source::{PathUse, Source, paths},
    workspace::Member,
};

const ALWAYS_ALLOWED: [&str; 4] = ["std", "core", "alloc", "kernel"];

/// What is in a service's `domain/` uses the kernel, the standard library and itself alone. Its
/// tests may use more.
#[must_use]
pub fn uses_more_than_the_kernel(members: &[Member], sources: &[Source]) -> Vec<String> {
    let mut offences = Vec::new();
    for source in sources {
        let Some(("services", package, inside)) = source.place() else {
            continue;
        };
        let Some(depth) = depth(inside) else {
            continue;
        };
        let dependencies: Vec<String> = members
            .iter()
            .filter(|member| member.folder == format!("services/{package}"))
            .flat_map(|member| &member.dependencies)
            .map(|name| name.replace('-', "_"))
            .collect();
        for path in paths(&source.code) {
            if offends(&path, depth, &dependencies) {
                offences.push(format!(
                    "{}:{}: the domain uses `{}`",
                    source.path,
                    path.line,
                    path.segments.join("::")
                ));
            }
        }
    }
    offences
}

/// How many times `super` may be said before the domain is left.
fn depth(inside: &str) -> Option<usize> {
    if inside == "domain.rs" {
        return Some(0);
    }
    let inside = inside.strip_prefix("domain/")?;
    let folders = inside.split('/').count() - 1;
    let lists_a_folder = inside == "mod.rs" || inside.ends_with("/mod.rs");
    Some(folders + usize::from(!lists_a_folder))
}

fn offends(path: &PathUse, depth: usize, dependencies: &[String]) -> bool {
    let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        // A word alone is somebody's name, unless it is imported.
        [_] if !path.imported => false,
        ["crate", first, ..] => *first != "domain",
        ["super", ..] => segments.iter().take_while(|part| **part == "super").count() > depth,
        ["self" | "Self", ..] => false,
        [head, ..] if ALWAYS_ALLOWED.contains(head) => false,
        // The variants of an enum in scope may be imported.
        [head, ..] if path.imported => !head.starts_with(char::is_uppercase),
        [head, ..] => dependencies.iter().any(|name| name == head),
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offences(path: &str, text: &str) -> Vec<String> {
        let members = [Member {
            name: "identity".to_owned(),
            folder: "services/identity".to_owned(),
            dependencies: ["kernel", "sea-orm", "chrono", "tracing"].map(str::to_owned).to_vec(),
        }];
        uses_more_than_the_kernel(&members, &[Source::parse(path, text)])
    }

    #[test]
    fn everything_foreign_in_a_domain_is_caught() {
        assert_eq!(
            offences(
                "services/identity/src/domain/user.rs",
                "use sea_orm::{entity::prelude::*, Set};\n\
                 use crate::{domain::role::Role, entity::user};\n\
                 use super::super::error::Error;\n\
                 fn f(at: chrono::DateTime<chrono::Utc>) { tracing::info!(\"…\"); crate::db::go() }\n"
            ),
            [
                "services/identity/src/domain/user.rs:1: the domain uses `sea_orm::entity::prelude::*`",
                "services/identity/src/domain/user.rs:1: the domain uses `sea_orm::Set`",
                "services/identity/src/domain/user.rs:2: the domain uses `crate::entity::user`",
                "services/identity/src/domain/user.rs:3: the domain uses `super::super::error::Error`",
                "services/identity/src/domain/user.rs:4: the domain uses `chrono::DateTime`",
                "services/identity/src/domain/user.rs:4: the domain uses `chrono::Utc`",
                "services/identity/src/domain/user.rs:4: the domain uses `tracing::info`",
                "services/identity/src/domain/user.rs:4: the domain uses `crate::db::go`",
            ]
        );
    }

    #[test]
    fn a_listing_file_does_not_climb_out_either() {
        for path in ["services/identity/src/domain.rs", "services/identity/src/domain/mod.rs"] {
            assert_eq!(offences(path, "use super::entity::user;").len(), 1, "{path}");
        }
    }

    #[test]
    fn what_belongs_there_is_left_alone() {
        assert_eq!(
            offences(
                "services/identity/src/domain/user.rs",
                "use std::fmt;\n\
                 use kernel::{EmailAddress, chrono::Utc};\n\
                 use super::role::Role;\n\
                 pub(crate) use self::Kind::*;\n\
                 use Kind::A;\n\
                 impl fmt::Display for Role { fn f(&self) { String::new(); Self::g() } }\n\
                 #[cfg(test)]\n\
                 mod tests { use chrono::Utc; }\n"
            ),
            [""; 0]
        );
    }

    #[test]
    fn other_folders_are_free() {
        assert_eq!(offences("services/identity/src/users/create.rs", "use sea_orm::Set;"), [""; 0]);
    }
}
