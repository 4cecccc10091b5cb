//! A use case never calls another one.

use std::collections::HashSet;

use crate::source::{Source, paths};

/// Folders whose files are not use cases.
const OTHER_FOLDERS: [&str; 6] = ["bin", "consumers", "domain", "engine", "entity", "migration"];

/// Packages that have no use cases of their own: the command line and the REST edge.
const OTHER_PACKAGES: [&str; 2] = ["gateway", "usher"];

/// One use case: `services/<service>/src/<noun>/<verb>.rs`.
#[derive(PartialEq, Eq, Hash, Clone, Copy)]
struct Slice<'a> {
    service: &'a str,
    noun: &'a str,
    verb: &'a str,
}

/// What two slices share moves to `domain/` or `entity/`. Tests may call another slice to set
/// their stage.
#[must_use]
pub fn call_slices(sources: &[Source]) -> Vec<String> {
    let slices: HashSet<Slice> = sources.iter().filter_map(slice).collect();
    let mut offences = Vec::new();
    for source in sources {
        let Some(caller) = slice(source) else {
            continue;
        };
        for path in paths(&source.code) {
            let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
            let (noun, verb) = match segments.as_slice() {
                ["crate", noun, verb, ..] | ["super", "super", noun, verb, ..] => (*noun, *verb),
                ["super", verb, ..] => (caller.noun, *verb),
                _ => continue,
            };
            let called = Slice { noun, verb, ..caller };
            if called != caller && slices.contains(&called) {
                offences.push(format!(
                    "{}:{}: the slice calls the slice {noun}/{verb}.rs",
                    source.path, path.line,
                ));
            }
        }
    }
    // `use super::create::{a, b}` is one offence.
    offences.dedup();
    offences
}

fn slice(source: &Source) -> Option<Slice<'_>> {
    let ("services", service, inside) = source.place()? else {
        return None;
    };
    let (noun, file) = inside.split_once('/')?;
    let verb = file.strip_suffix(".rs")?;
    let is_other = OTHER_PACKAGES.contains(&service)
        || OTHER_FOLDERS.contains(&noun)
        || matches!(verb, "mod" | "tests")
        || verb.contains('/');
    (!is_other).then_some(Slice { service, noun, verb })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offences(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<Source> = files
            .iter()
            .map(|(path, text)| Source::parse(&format!("services/organisation/src/{path}"), text))
            .collect();
        call_slices(&sources)
    }

    #[test]
    fn a_slice_that_calls_a_slice_is_caught() {
        assert_eq!(
            offences(&[
                ("invitations/create.rs", "fn create() {}"),
                (
                    "invitations/accept.rs",
                    "use super::create::{Invitation, create};\nfn f() { crate::memberships::add::run() }"
                ),
                ("memberships/add.rs", "use crate::{domain::role, invitations::{create}};"),
            ]),
            [
                "services/organisation/src/invitations/accept.rs:1: the slice calls the slice invitations/create.rs",
                "services/organisation/src/invitations/accept.rs:2: the slice calls the slice memberships/add.rs",
                "services/organisation/src/memberships/add.rs:1: the slice calls the slice invitations/create.rs",
            ]
        );
    }

    #[test]
    fn listings_shared_folders_and_tests_are_left_alone() {
        assert_eq!(
            offences(&[
                ("invitations/mod.rs", "pub use create::create;"),
                ("invitations/create.rs", "use crate::entity::invitation; use super::Noun;"),
                ("entity/invitation.rs", "fn f() { crate::invitations::create::f() }"),
                ("consumers/user_deleted.rs", "use crate::invitations::create;"),
                ("grpc.rs", "use crate::invitations::create;"),
                (
                    "invitations/accept.rs",
                    "#[cfg(test)]\nmod tests { use crate::invitations::create; }"
                ),
            ]),
            [""; 0]
        );
    }
}
