//! The image of a kind node: Debian's systemd, containerd and CNI plugins, kind's own files, Kubernetes, and every image that
//! a cluster and a platform need already inside, so that none has to be loaded into three nodes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::cache::{Cache, Key};
use crate::docker::{Docker, KEY_LABEL};
use crate::offline::images::{KindNames, aliases, copy_tree, link_or_copy, names};
use crate::offline::{Prepared, go};
use crate::progress::{Log, Progress};
use crate::source;

/// Builds it unless the daemon has it.
pub fn ensure(cache: &Cache, progress: &Progress, docker: &Docker) -> Result<Prepared> {
    let kind_source = go::module_directory(&go::KIND)?;
    let storage = Storage::read(&kind_source)?;
    for (image, alias) in aliases(&storage.names) {
        docker.run().args(["tag", image, &alias]).execute()?;
    }
    let inside = names(&storage.names);
    let key = key(docker, &inside)?;
    let name = format!("chatplatform/node:v{}-{key}", go::KUBERNETES);
    let prepared = Prepared { node_image: name.clone(), in_nodes: inside };
    if docker.has(&name, &key) {
        return Ok(prepared);
    }
    progress.step(
        "node image",
        "Run the command again; `cargo e2e down` first if a container is in the way.",
        |log| {
            let context = stage(cache, &kind_source, &storage)?;
            let empty = format!("chatplatform/node-without-images:{key}");
            docker.build(&empty, &key, &context, &[], log)?;
            let made = preload(cache, docker, &empty, &prepared.in_nodes, &name, &key, log);
            fs::remove_dir_all(&context)?;
            docker.run().args(["rmi", &empty]).log(log).attempt();
            made?;
            remove_older(docker, &name);
            Ok(())
        },
    )?;
    Ok(prepared)
}

fn key(docker: &Docker, inside: &[String]) -> Result<String> {
    let mut key =
        Key::of("node").text(go::KIND.version).text(go::CRICTL.version).tree(&source::offline()?.join("node"))?;
    for name in inside {
        let id = docker.image_id(name).ok_or_else(|| anyhow!("the image {name} is not there although it was built"))?;
        key = key.text(name).text(&id);
    }
    Ok(key.finish())
}

/// What kind's source says about the default `StorageClass`.
struct Storage {
    names: KindNames,
    manifest: String,
}

impl Storage {
    fn read(kind_source: &Path) -> Result<Self> {
        let path = kind_source.join("pkg/build/nodeimage/const_storage.go");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("cannot make sense of {}", path.display()))
    }

    fn parse(source: &str) -> Option<Self> {
        let constant = |name: &str| {
            let value = source.split_once(&format!("const {name} = \""))?.1;
            Some(value.split_once('"')?.0.to_owned())
        };
        let names =
            KindNames { provisioner: constant("storageProvisionerImage")?, helper: constant("storageHelperImage")? };
        let manifest = source.split_once("const defaultStorageManifest = `")?.1;
        let manifest = manifest
            .replace("` + storageProvisionerImage + `", &names.provisioner)
            .replace("` + storageHelperImage + `", &names.helper);
        let manifest = manifest.split_once('`')?.0.to_owned();
        Some(Self { names, manifest })
    }
}

/// Puts the build context together: our Dockerfile and configuration, kind's files, and the programs.
fn stage(cache: &Cache, kind_source: &Path, storage: &Storage) -> Result<std::path::PathBuf> {
    let context = cache.fresh_directory("stage/node")?;
    copy_tree(&source::offline()?.join("node"), &context)?;
    let files = context.join("kind");
    copy_tree(&kind_source.join("images/base/files"), &files)?;
    // Files of a Go module are read-only and never executable.
    for file in crate::cache::files_below(&files)? {
        let program = ["kind/bin", "usr/local/bin"].iter().any(|folder| file.starts_with(files.join(folder)));
        fs::set_permissions(&file, fs::Permissions::from_mode(if program { 0o755 } else { 0o644 }))?;
    }
    fs::create_dir_all(files.join("kind/manifests"))?;
    fs::write(files.join("kind/manifests/default-storage.yaml"), &storage.manifest)?;
    fs::write(files.join("kind/version"), format!("v{}", go::KUBERNETES))?;
    link_or_copy(&go::kubernetes_place(cache)?, &context.join("hyperkube"))?;
    link_or_copy(&go::place(cache, &go::CRICTL), &context.join("crictl"))?;
    Ok(context)
}

/// Imports images with the node's own containerd and commits the container, as `kind build node-image` does.
fn preload(
    cache: &Cache,
    docker: &Docker,
    from: &str,
    images: &[String],
    name: &str,
    key: &str,
    log: &Log,
) -> Result<()> {
    let container = format!("chatplatform-node-image-{key}");
    let archive = cache.directory("stage")?.join("node-images.tar");
    docker.run().args(["rm", "--force", "--volumes", &container]).attempt();
    docker.run().args(["save", "--output"]).arg(&archive).args(images).log(log).execute()?;
    docker
        .run()
        .args(["run", "--detach", "--network=none", "--security-opt=seccomp=unconfined", "--entrypoint=sleep"])
        .args(["--name", &container, from, "infinity"])
        .log(log)
        .execute()?;
    let made = (|| {
        docker.run().args(["exec", "--detach", &container, "containerd"]).log(log).execute()?;
        wait_for_containerd(docker, &container)?;
        docker
            .run()
            .args(["exec", "--interactive", &container, "ctr", "--namespace=k8s.io", "images", "import"])
            .args(["--all-platforms", "--no-unpack", "--digests", "-"])
            .input_file(&archive)
            .log(log)
            .execute()?;
        docker.run().args(["exec", &container, "pkill", "-x", "containerd"]).log(log).execute()?;
        wait_until_gone(docker, &container)?;
        docker
            .run()
            .args(["commit", "--change", "ENTRYPOINT [\"/usr/local/bin/entrypoint\", \"/sbin/init\"]"])
            .args(["--change", &format!("LABEL {KEY_LABEL}={key}"), &container, name])
            .log(log)
            .execute()
    })();
    docker.run().args(["rm", "--force", "--volumes", &container]).shielded().attempt();
    fs::remove_file(&archive)?;
    made
}

fn wait_for_containerd(docker: &Docker, container: &str) -> Result<()> {
    until(Duration::from_secs(30), "containerd does not come up in the node image", || {
        docker.run().args(["exec", container, "ctr", "version"]).succeeds()
    })
}

fn wait_until_gone(docker: &Docker, container: &str) -> Result<()> {
    until(Duration::from_secs(30), "containerd does not end in the node image", || {
        !docker.run().args(["exec", container, "pgrep", "-x", "containerd"]).succeeds()
    })
}

fn until(limit: Duration, otherwise: &str, condition: impl Fn() -> bool) -> Result<()> {
    let deadline = Instant::now() + limit;
    while !condition() {
        if Instant::now() > deadline {
            bail!("{otherwise}");
        }
        thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// Node images are large, and only the newest is used. One that a cluster still runs on stays: Docker refuses to remove it.
fn remove_older(docker: &Docker, newest: &str) {
    let listed = docker.run().args(["images", "--format", "{{.Repository}}:{{.Tag}}", "chatplatform/node"]).output();
    for name in listed.unwrap_or_default().lines().filter(|name| *name != newest) {
        docker.run().args(["rmi", name]).attempt();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn the_storage_manifest_is_read_from_kinds_source() {
        let source = "const storageProvisionerImage = \"docker.io/kindest/p:v1\"\nconst storageHelperImage = \"docker.io/kindest/h:v2\"\n\nconst defaultStorageManifest = `\nimage: ` + storageProvisionerImage + `\nhelper: ` + storageHelperImage + `\n`\n";
        let storage = Storage::parse(source).unwrap();
        assert_eq!(storage.manifest, "\nimage: docker.io/kindest/p:v1\nhelper: docker.io/kindest/h:v2\n");
        assert_eq!(storage.names.helper, "docker.io/kindest/h:v2");
    }
}
