//! Holds the workspace to the rules of the house. What each rule says exactly, and proof that it
//! catches an offender, is with its check in `src/`.

use std::sync::LazyLock;

use architecture::{
    dependencies, domain, engines, sizes, sleeps, slices,
    workspace::{Member, Workspace},
};

static WORKSPACE: LazyLock<Workspace> = LazyLock::new(Workspace::read);

#[track_caller]
fn hold(rule: &str, offences: &[String]) {
    assert!(offences.is_empty(), "{rule}\n  {}\n", offences.join("\n  "));
}

/// A check that looks at nothing finds nothing.
#[test]
fn the_workspace_is_seen() {
    let Workspace { members, sources, lock } = &*WORKSPACE;
    let of = |name: &str| -> Option<&Member> { members.iter().find(|member| member.name == name) };
    assert_eq!(
        of("organisation").map(|member| member.folder.as_str()),
        Some("services/organisation")
    );
    assert!(of("usher").is_some_and(|usher| usher.dependencies.contains(&"identity".to_owned())));
    for path in [
        "libs/kernel/src/lib.rs",
        "services/usher/src/main.rs",
        "tests/architecture/tests/architecture.rs",
    ] {
        assert!(sources.iter().any(|source| source.path == path), "{path}");
    }
    assert!(lock.contains("\nname = \"ring\"\n"));
}

#[test]
fn only_usher_depends_on_services() {
    hold(
        "Services never depend on one another; only `usher` may name several, and tests name it.",
        &dependencies::on_services(&WORKSPACE.members),
    );
}

#[test]
fn the_kernel_depends_on_nothing_of_ours() {
    hold(
        "`kernel` depends on no other crate of the workspace.",
        &dependencies::of_the_kernel(&WORKSPACE.members),
    );
}

#[test]
fn a_domain_uses_the_kernel_and_the_standard_library_alone() {
    hold(
        "A domain is rules without I/O: it uses `kernel`, `std` and `crate::domain`. What else it \
         needs, `kernel` defines or re-exports.",
        &domain::uses_more_than_the_kernel(&WORKSPACE.members, &WORKSPACE.sources),
    );
}

#[test]
fn the_engines_differ_in_db_alone() {
    let mut offences = engines::named_outside_db(&WORKSPACE.sources);
    offences.extend(dependencies::on_the_driver(&WORKSPACE.members));
    hold(
        "The engines' differences live in `libs/db`: give it a function with the intent as its name.",
        &offences,
    );
}

#[test]
fn telemetry_lives_in_service_alone() {
    hold(
        "OpenTelemetry and subscribers are set up in `libs/service`; others use `tracing`.",
        &dependencies::on_telemetry(&WORKSPACE.members),
    );
}

#[test]
fn ring_is_the_only_provider_of_cryptography_for_tls() {
    hold(
        "rustls with *ring* is the only TLS; trim the features of whatever brought another.",
        &dependencies::on_cryptography(&WORKSPACE.lock),
    );
}

#[test]
fn slices_never_call_slices() {
    hold(
        "Slices never call slices; what two share moves to `domain/` or `entity/`.",
        &slices::call_slices(&WORKSPACE.sources),
    );
}

#[test]
fn files_can_be_read_in_one_go() {
    hold(
        "A file of a service or a library is split before it gets this long.",
        &sizes::too_long(&WORKSPACE.sources),
    );
}

#[test]
fn tests_do_not_sleep() {
    hold(
        "A test waits for a condition with a deadline, or moves the clock.",
        &sleeps::in_tests(&WORKSPACE.sources),
    );
}
