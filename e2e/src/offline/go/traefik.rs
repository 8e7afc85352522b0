//! What Traefik needs beside its module. Its go.mod replaces modules by others, which counts only where it is built itself; one of those is a
//! folder that its published module leaves out. And it knows dozens of DNS services by modules of which many are not to be had.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::{GO_MINOR, directory_of};
use crate::cache::files_below;
use crate::offline::images::copy_tree;
use crate::source;

/// The clients of DNS services, and a version of the module that Traefik's own fits.
const LEGO: (&str, &str) = ("github.com/go-acme/lego/v5", "v5.4.1");

/// Puts into `module` what stands in for what cannot be had, and says so in its go.mod.
pub(super) fn furnish(module: &Path) -> Result<()> {
    let own = source::offline()?.join("traefik");
    let extension = module.join("ext");
    fs::create_dir_all(&extension)?;
    fs::write(
        extension.join("go.mod"),
        format!("module github.com/traefik/traefik/dynamic/ext\n\ngo 1.{GO_MINOR}.0\n"),
    )?;
    fs::copy(own.join("ext.go"), extension.join("ext.go"))?;

    let lego = module.join("lego");
    if lego.exists() {
        fs::remove_dir_all(&lego)?;
    }
    copy_tree(&directory_of(LEGO.0, LEGO.1)?, &lego)?;
    // Files of a Go module are read-only.
    for file in files_below(&lego.join("providers/dns"))? {
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644))?;
    }
    fs::copy(own.join("dns_providers.go"), lego.join("providers/dns/zz_gen_dns_providers.go"))
        .context("lego no longer has its DNS services in this file")?;
    Ok(fs::write(module.join("go.mod"), go_mod())?)
}

fn go_mod() -> String {
    let replaced = [
        ("github.com/traefik/traefik/dynamic/ext", "./ext"),
        (LEGO.0, "./lego"),
        // Traefik's fork of the first is not to be had; of the second it uses what only its fork has.
        ("github.com/abbot/go-http-auth", "github.com/abbot/go-http-auth v0.4.0"),
        ("github.com/gorilla/mux", "github.com/containous/mux v0.0.0-20250523120546-41b6ec3aed59"),
    ];
    let mut text = format!("module chatplatform.dev/e2e/traefik\n\ngo 1.{GO_MINOR}.0\n\n");
    for (module, by) in replaced {
        text.extend(["replace ", module, " => ", by, "\n"]);
    }
    text
}
