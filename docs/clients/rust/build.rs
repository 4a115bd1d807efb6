//! Generates the stubs from the descriptors that `fedcoin-node api descriptor` writes; needs no protoc.

use prost::Message;

const DESCRIPTORS: &str = "fedcoin.binpb";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed={DESCRIPTORS}");
    let raw = std::fs::read(DESCRIPTORS)
        .map_err(|error| format!("{DESCRIPTORS}: {error}; run fedcoin-node api descriptor --out {DESCRIPTORS}"))?;
    let mut described = prost_types::FileDescriptorSet::decode(raw.as_slice())?;
    described.file.retain(|file| file.package() == "fedcoin.v1");
    tonic_prost_build::configure().build_server(false).compile_fds(described)?;
    Ok(())
}
