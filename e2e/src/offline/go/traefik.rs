//! What Traefik needs beside its module. Its go.mod replaces modules by others, which counts only where it is built itself; one of those is a
//! folder that its published module leaves out. And it knows dozens of DNS services by modules of which many are not to be had.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::{GO_MINOR, directory_of};
use crate::cache::files_below;
use crate::offline::images::copy_tree;
use crate::source;

/// The clients of DNS services, in the version that Traefik's go.mod asks for.
const LEGO: (&str, &str) = ("github.com/go-acme/lego/v5", "v5.4.1");
/// What Traefik's own fork of it, which cannot be had, was made from.
const HTTP_AUTH: (&str, &str) = ("github.com/abbot/go-http-auth", "v0.4.0");
/// The module that Traefik's own leaves out.
const EXTENSION: &str = "github.com/traefik/traefik/dynamic/ext";

/// Puts into `module` what stands in for what cannot be had, and says so in its go.mod.
pub(super) fn furnish(module: &Path) -> Result<()> {
    let own = source::offline()?.join("traefik");
    let folder = |name| -> Result<PathBuf> {
        let folder = module.join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        Ok(folder)
    };
    let extension = folder("ext")?;
    fs::copy(own.join("ext.go"), extension.join("ext.go"))?;
    fs::write(extension.join("go.mod"), module_called(EXTENSION))?;

    let lego = folder("lego")?;
    copy(LEGO, &lego)?;
    let providers = lego.join("providers/dns/zz_gen_dns_providers.go");
    ensure!(providers.exists(), "lego no longer has its DNS services in {}", providers.display());
    fs::copy(own.join("dns_providers.go"), providers)?;

    let http_auth = folder("http-auth")?;
    copy(HTTP_AUTH, &http_auth)?;
    fs::copy(own.join("http_auth.go"), http_auth.join("traefik.go"))?;
    fs::write(http_auth.join("go.mod"), module_called(HTTP_AUTH.0))?;
    Ok(fs::write(module.join("go.mod"), go_mod())?)
}

/// Copies a module out of the Go module cache, where all files are read-only.
fn copy((module, version): (&str, &str), to: &Path) -> Result<()> {
    copy_tree(&directory_of(module, version)?, to)?;
    for file in files_below(to)? {
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644))?;
    }
    Ok(())
}

fn module_called(name: &str) -> String {
    format!("module {name}\n\ngo 1.{GO_MINOR}.0\n")
}

fn go_mod() -> String {
    let replaced = [
        (EXTENSION, "./ext"),
        (LEGO.0, "./lego"),
        (HTTP_AUTH.0, "./http-auth"),
        // Traefik uses what only its fork has.
        ("github.com/gorilla/mux", "github.com/containous/mux v0.0.0-20250523120546-41b6ec3aed59"),
    ];
    let mut text = format!("{}\n", module_called("chatplatform.dev/e2e/traefik"));
    for (module, by) in replaced {
        text.extend(["replace ", module, " => ", by, "\n"]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_beside_the_module_is_what_go_is_told_to_take() {
        let text = go_mod();
        assert!(text.starts_with("module chatplatform.dev/e2e/traefik\n"), "{text}");
        for (module, folder) in [(EXTENSION, "ext"), (LEGO.0, "lego"), (HTTP_AUTH.0, "http-auth")] {
            assert!(text.contains(&format!("replace {module} => ./{folder}\n")), "{text}");
        }
    }
}
