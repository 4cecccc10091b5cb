//! The workspace as it is on disk.

use std::{fs, path::Path};

use cargo_metadata::{Metadata, MetadataCommand};

use crate::source::Source;

/// A package of the workspace.
pub struct Member {
    pub name: String,
    /// Relative to the workspace: `services/identity`.
    pub folder: String,
    /// The names of the packages it depends on, in whatever way: for tests and for building too.
    pub dependencies: Vec<String>,
}

/// All that the rules look at.
pub struct Workspace {
    pub members: Vec<Member>,
    /// Every Rust file of the members.
    pub sources: Vec<Source>,
    /// The text of `Cargo.lock`.
    pub lock: String,
}

impl Workspace {
    /// Reads the workspace that this package belongs to.
    ///
    /// # Panics
    ///
    /// Cargo does not answer, or a file cannot be read.
    #[must_use]
    pub fn read() -> Self {
        let metadata = MetadataCommand::new()
            .manifest_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
            .no_deps()
            .exec()
            .expect("cargo metadata answers");
        let root = metadata.workspace_root.as_std_path();
        let members = members(&metadata);
        let mut sources = Vec::new();
        for member in &members {
            read_sources(root, &root.join(&member.folder), &mut sources);
        }
        let lock = fs::read_to_string(root.join("Cargo.lock")).expect("Cargo.lock can be read");
        Self { members, sources, lock }
    }
}

fn members(metadata: &Metadata) -> Vec<Member> {
    metadata
        .packages
        .iter()
        .map(|package| {
            let folder = package
                .manifest_path
                .parent()
                .and_then(|folder| folder.strip_prefix(&metadata.workspace_root).ok())
                .expect("a member is inside its workspace");
            Member {
                name: package.name.to_string(),
                folder: folder.to_string(),
                dependencies: package
                    .dependencies
                    .iter()
                    .map(|dependency| dependency.name.clone())
                    .collect(),
            }
        })
        .collect()
}

fn read_sources(root: &Path, folder: &Path, sources: &mut Vec<Source>) {
    let mut entries: Vec<_> = fs::read_dir(folder)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", folder.display()))
        .into_iter()
        .map(|entry| entry.path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            read_sources(root, &path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()));
            let name = path.strip_prefix(root).expect("is inside the workspace");
            sources.push(Source::parse(&name.to_string_lossy(), &text));
        }
    }
}
