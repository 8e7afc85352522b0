//! Writes what is made from the comments and rules of `operator/src/api`: the `CustomResourceDefinition` and its reference page.

use std::fs;
use std::path::Path;

use operator::api;

fn main() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::write(root.join("crds/chatplatform.yaml"), api::definition()?)?;
    fs::write(root.join("docs/reference/chatplatform.md"), api::reference::page())?;
    Ok(())
}
