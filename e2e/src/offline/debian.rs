//! The base of every image: a small Debian, imported under the name that Dockerfiles use for it.

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::cache::{Cache, Key};
use crate::command::Run;
use crate::docker::{Docker, KEY_LABEL};
use crate::progress::Progress;

/// Its name.
pub const NAME: &str = "docker.io/library/debian:bookworm-slim";

/// What the official slim image leaves out as well.
const WITHOUT: [&str; 5] =
    ["/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*", "/usr/share/lintian/*"];

/// Makes it unless the daemon has it. Answers its key.
pub fn ensure(cache: &Cache, progress: &Progress, docker: &Docker) -> Result<String> {
    let key =
        WITHOUT.iter().fold(Key::of("debian").text("bookworm minbase, unsafe io"), |key, path| key.text(path)).finish();
    if docker.has(NAME, &key) {
        return Ok(key);
    }
    progress.step("make the Debian base image", "Is a Debian mirror reachable (`apt-get update`)?", |log| {
        let archive = cache.directory("stage")?.join("debian.tar");
        let mut run = Run::new("mmdebstrap")
            .args(["--variant=minbase", "--mode=root", "--skip=check/empty"])
            .args(["--aptopt=APT::Install-Recommends \"false\"", "--include=ca-certificates"]);
        for path in WITHOUT {
            run = run.arg(format!("--dpkgopt=path-exclude={path}"));
        }
        // An image that was not finished is thrown away, so dpkg need not wait for the disk after every file.
        run = run.arg("--dpkgopt=force-unsafe-io");
        // Packages refuse to install where the copyright notices they promise are not there.
        run.arg("--dpkgopt=path-include=/usr/share/doc/*/copyright")
            .args(["bookworm"])
            .arg(&archive)
            .log(log)
            .execute()?;
        import(docker, &archive, &key).log(log).execute()?;
        Ok(fs::remove_file(&archive)?)
    })?;
    Ok(key)
}

fn import(docker: &Docker, archive: &Path, key: &str) -> Run {
    docker
        .run()
        .args(["import", "--change", "CMD [\"bash\"]", "--change", &format!("LABEL {KEY_LABEL}={key}")])
        .arg(archive)
        .arg(NAME)
}
