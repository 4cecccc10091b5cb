//! Compiles the protos with protox, in Rust: no system `protoc` is needed.
//!
//! An RPC that a service does not have answers UNIMPLEMENTED by itself. So a test's double has what
//! its test asks for and no more, and is not touched by an RPC that comes new. What a service of ours
//! lacks does not fail to compile then: the story `every_rpc` finds it, which calls every RPC of the
//! descriptor set and takes UNIMPLEMENTED from none.

use std::{env, fs, path::PathBuf};

use prost::Message as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    for package in ["identity", "organisation", "notification", "operations"] {
        for entry in fs::read_dir(root.join("usher").join(package).join("v1"))? {
            files.push(entry?.path());
        }
    }
    files.sort();
    let descriptors = protox::compile(&files, [&root])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().generate_default_stubs(true).compile_fds(descriptors)?;
    Ok(())
}
