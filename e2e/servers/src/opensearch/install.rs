//! What `OpenSearch` is made of: its own packages from Maven Central, and a program that starts a node of it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};

use crate::cache;
use crate::process::run;

const VERSION: &str = "2.19.6";
const RECIPE: [(&str, &str); 2] = [("pom.xml", include_str!("pom.xml")), ("Server.java", include_str!("Server.java"))];
/// Programs that make it, and the Debian packages that have them. `java` runs it as well.
const PROGRAMS: [&str; 3] = ["java", "javac", "mvn"];
const PACKAGES: [&str; 2] = ["default-jdk-headless", "maven"];

/// That of the server, and what tells one recipe from another.
pub(super) fn version() -> String {
    let digest = RECIPE.iter().fold(Sha256::new(), |digest, (_, text)| digest.chain_update(text)).finalize();
    format!("{VERSION}-{}", &hex::encode(digest)[..8])
}

/// A folder with `classes` and `lib`, the class path of the program `Server`.
pub(super) fn opensearch() -> Result<PathBuf> {
    need_programs()?;
    cache::installed("opensearch", &version(), |folder| {
        for (name, text) in RECIPE {
            fs::write(folder.join(name), text)?;
        }
        run(Command::new("mvn").current_dir(folder).args([
            "--batch-mode",
            "--quiet",
            "dependency:copy-dependencies",
            "-DoutputDirectory=lib",
        ]))?;
        let compiled = ["--release", "17", "-proc:none", "-cp", "lib/*", "-d", "classes", "Server.java"];
        run(Command::new("javac").current_dir(folder).args(compiled)).map(drop)
    })
}

/// Installs the packages where a program is missing, which root can.
fn need_programs() -> Result<()> {
    if PROGRAMS.iter().all(|program| is_there(program)) {
        return Ok(());
    }
    let install = || {
        let mut install = Command::new("apt-get");
        install
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["--quiet", "--option=DPkg::Lock::Timeout=300", "install", "--yes", "--no-install-recommends"])
            .args(PACKAGES);
        install
    };
    if run(&mut install()).is_err() {
        // A fresh machine has no package lists, or stale ones.
        run(Command::new("apt-get").args(["--quiet", "update"]))
            .and_then(|_| run(&mut install()))
            .context("OpenSearch needs Java 17 and Maven: apt-get install default-jdk-headless maven")?;
    }
    Ok(())
}

fn is_there(program: &str) -> bool {
    let mut asked = Command::new(program);
    asked.arg("-version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    asked.status().is_ok_and(|status| status.success())
}
