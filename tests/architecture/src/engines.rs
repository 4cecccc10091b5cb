//! The engines' differences stay in one place.

use crate::source::{Source, paths};

/// Which database engine is behind a connection is asked in `libs/db` alone; tests and migrations
/// ask there too.
#[must_use]
pub fn named_outside_db(sources: &[Source]) -> Vec<String> {
    let mut offences = Vec::new();
    for source in sources {
        if source.path.starts_with("libs/db/") {
            continue;
        }
        for path in paths(&source.code).into_iter().chain(paths(&source.tests)) {
            let named = path.segments.iter().zip(path.segments.iter().skip(1));
            let offends = path
                .segments
                .iter()
                .any(|word| matches!(word.as_str(), "DbBackend" | "DatabaseBackend" | "sqlx"))
                || named.into_iter().any(|(kind, variant)| {
                    kind == "Backend" && matches!(variant.as_str(), "Sqlite" | "Postgres")
                });
            if offends {
                offences.push(format!(
                    "{}:{}: `{}` outside libs/db",
                    source.path,
                    path.line,
                    path.segments.join("::")
                ));
            }
        }
    }
    offences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_outside_db_is_caught() {
        let text = "use sea_orm::DbBackend;\n\
                    fn f() { sqlx::query(\"\"); }\n\
                    #[cfg(test)]\n\
                    mod tests { fn f() -> bool { backend == Backend::Sqlite } }\n";
        assert_eq!(
            named_outside_db(&[
                Source::parse("libs/testkit/src/lib.rs", text),
                Source::parse("libs/db/src/lib.rs", text),
            ]),
            [
                "libs/testkit/src/lib.rs:1: `sea_orm::DbBackend` outside libs/db",
                "libs/testkit/src/lib.rs:2: `sqlx::query` outside libs/db",
                "libs/testkit/src/lib.rs:4: `Backend::Sqlite` outside libs/db",
            ]
        );
    }

    #[test]
    fn other_back_ends_may_be_named() {
        let text = "// DbBackend\nfn f() { Backend::Memory; \"sqlx::query\" }";
        assert_eq!(named_outside_db(&[Source::parse("libs/bus/src/lib.rs", text)]), [""; 0]);
    }
}
