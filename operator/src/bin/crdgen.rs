//! Writes the `CustomResourceDefinition` to standard output: `cargo run -p operator --bin crdgen > crds/chatplatform.yaml`.

use std::io::{self, Write as _};

fn main() -> anyhow::Result<()> {
    io::stdout().write_all(operator::api::definition()?.as_bytes())?;
    Ok(())
}
