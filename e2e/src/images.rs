//! Our own images: compiled once, built where their content changed, loaded into the nodes that lack them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::Value;

use crate::cache::{Cache, Key, files_below_except};
use crate::cluster::Cluster;
use crate::command::{Run, need};
use crate::docker::Docker;
use crate::offline::images::link_or_copy;
use crate::progress::{Log, Progress};
use crate::source;

/// The release the images are tagged with: the workspace's.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The release before it, under whose name scenarios have the same images once more, to upgrade from.
pub const PREVIOUS: &str = "0.0.9";

/// What is written in Rust: an image each, and the binaries in it.
pub const COMPILED: [(&str, &[&str]); 7] = [
    ("operator", &["operator", "provision"]),
    ("gateway", &["gateway"]),
    ("auth", &["auth"]),
    ("chat", &["chat"]),
    ("media", &["media"]),
    ("notification", &["notification"]),
    ("backup", &["backup"]),
];

/// The name of a component's image.
#[must_use]
pub fn name_of(component: &str) -> String {
    name_in(component, VERSION)
}

fn name_in(component: &str, release: &str) -> String {
    format!("docker.io/chatplatform/{component}:{release}")
}

/// What images are made of.
#[derive(Debug)]
pub struct Built {
    binaries: BTreeMap<String, PathBuf>,
    web: PathBuf,
}

/// Compiles one service alone, as a program of this machine. Answers where it is.
pub fn compile_service(name: &str, progress: &Progress) -> Result<PathBuf> {
    let cure = "Mend what the compiler says above, then run the command again.";
    let mut binaries = progress.step(&format!("compile {name}"), cure, |log| {
        Ok(executables(&cargo_build(log, &["--release", "--workspace", "--bin", name])?))
    })?;
    binaries.remove(name).with_context(|| format!("no crate has a binary called {name}"))
}

/// Compiles the binaries and the web client; neither costs much when nothing changed.
pub fn compile(cache: &Cache, progress: &Progress) -> Result<Built> {
    let binaries = progress.step(
        "compile the operator and the services",
        "Mend what the compiler says above, then run the command again.",
        compile_binaries,
    )?;
    let web = build_web(cache, progress)?;
    Ok(Built { binaries, web })
}

/// Builds the images whose content changed. Answers the names of all.
pub fn build(cache: &Cache, docker: &Docker, built: &Built, progress: &Progress) -> Result<Vec<String>> {
    let root = source::root()?;
    let mut names = Vec::new();
    for (component, binaries) in COMPILED {
        let (dockerfile, arguments) = match component {
            "operator" => (root.join("operator/Dockerfile"), Vec::new()),
            service => (root.join("services/Dockerfile"), vec![format!("COMPONENT={service}")]),
        };
        let image = Image { component, dockerfile, arguments };
        let files: Vec<(&str, &PathBuf)> = binaries.iter().map(|name| (*name, &built.binaries[*name])).collect();
        let mut contents = Key::of(component);
        for (_, file) in &files {
            contents = contents.file(file)?;
        }
        image.ensure(cache, docker, progress, &contents, |context| {
            files.iter().try_for_each(|(name, file)| link_or_copy(file, &context.join(name)))
        })?;
        names.push(name_of(component));
    }
    let image = Image { component: "web", dockerfile: root.join("services/web/Dockerfile"), arguments: Vec::new() };
    image.ensure(cache, docker, progress, &Key::of("web").tree(&built.web)?, |context| {
        crate::offline::images::copy_tree(&built.web, &context.join("dist"))
    })?;
    names.push(name_of("web"));
    Ok(names)
}

/// Loads into the nodes the images they lack or have an older build of. Answers the names of those.
pub fn load(cluster: &Cluster, names: &[String], progress: &Progress) -> Result<Vec<String>> {
    let docker = &cluster.engine().docker;
    let wanted: Vec<(&String, String)> = names
        .iter()
        .map(|name| Ok((name, docker.image_id(name).ok_or_else(|| anyhow!("the image {name} was not built"))?)))
        .collect::<Result<_>>()?;
    let mut missing = BTreeSet::new();
    for node in cluster.nodes()? {
        let held = held_by(cluster, &node)?;
        missing.extend(wanted.iter().filter(|(name, id)| held.get(*name) != Some(id)).map(|(name, _)| (*name).clone()));
    }
    let missing: Vec<String> = missing.into_iter().collect();
    if missing.is_empty() {
        return Ok(missing);
    }
    progress.step(
        &format!("load {}", short(&missing)),
        "Is there room on the disk? Run the command again to go on.",
        |log| {
            let kind = cluster.engine().kind().args(["load", "docker-image", "--name", cluster.name()]);
            kind.args(&missing).log(log).execute()
        },
    )?;
    Ok(missing)
}

/// Gives images that were built the name of another release as well, and loads them into the nodes.
pub fn load_as(cluster: &Cluster, components: &[&str], release: &str, progress: &Progress) -> Result<()> {
    let names: Vec<String> = components.iter().map(|component| name_in(component, release)).collect();
    for (component, name) in components.iter().zip(&names) {
        cluster.engine().docker.run().args(["tag", &name_of(component), name]).execute()?;
    }
    load(cluster, &names, progress).map(drop)
}

/// Restarts the Deployments that run one of `images`: the tag is the same, the content is not.
pub fn restart_users_of(cluster: &Cluster, images: &[String], progress: &Progress) -> Result<()> {
    let listed = cluster.kubectl_json(["get", "deployments", "--all-namespaces"])?;
    for (namespace, name) in users_of(&listed, images) {
        progress.say(format!("restart {name}: its image changed"));
        cluster.kubectl(["rollout", "restart", "deployment", &name, "--namespace", &namespace])?;
    }
    Ok(())
}

fn users_of(deployments: &Value, images: &[String]) -> Vec<(String, String)> {
    let items = deployments["items"].as_array().map_or(&[][..], Vec::as_slice);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    items
        .iter()
        .filter(|item| {
            let containers = item["spec"]["template"]["spec"]["containers"].as_array();
            containers.is_some_and(|containers| {
                containers.iter().any(|container| {
                    let used = container["image"].as_str().unwrap_or_default();
                    images.iter().any(|image| image == used || image.strip_prefix("docker.io/") == Some(used))
                })
            })
        })
        .map(|item| (text(&item["metadata"]["namespace"]), text(&item["metadata"]["name"])))
        .collect()
}

struct Image<'a> {
    component: &'a str,
    dockerfile: PathBuf,
    arguments: Vec<String>,
}

impl Image<'_> {
    fn ensure(
        &self,
        cache: &Cache,
        docker: &Docker,
        progress: &Progress,
        contents: &Key,
        add: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        let key = contents.clone().file(&self.dockerfile)?.finish();
        let name = name_of(self.component);
        if docker.has(&name, &key) {
            return Ok(());
        }
        let cure = "If a base image is missing, is its registry reachable?";
        progress.step(&format!("image {}", self.component), cure, |log| {
            let folder = cache.fresh_directory(Path::new("stage").join(format!("own-{}", self.component)))?;
            fs::copy(&self.dockerfile, folder.join("Dockerfile"))?;
            add(&folder)?;
            docker.build(&name, &key, &folder, &self.arguments, log)?;
            Ok(fs::remove_dir_all(&folder)?)
        })
    }
}

/// Image ids by name, as the node's containerd has them.
fn held_by(cluster: &Cluster, node: &str) -> Result<BTreeMap<String, String>> {
    let text = cluster.docker(["exec", node, "crictl", "images", "--output", "json"]).output()?;
    let listed: Value = serde_json::from_str(&text).context("crictl did not answer JSON")?;
    Ok(ids_by_name(&listed))
}

fn ids_by_name(listed: &Value) -> BTreeMap<String, String> {
    let images = listed["images"].as_array().map_or(&[][..], Vec::as_slice);
    images
        .iter()
        .flat_map(|image| {
            let id = image["id"].as_str().unwrap_or_default().to_owned();
            let tags = image["repoTags"].as_array().cloned().unwrap_or_default();
            tags.into_iter().filter_map(move |tag| Some((tag.as_str()?.to_owned(), id.clone())))
        })
        .collect()
}

fn short(names: &[String]) -> String {
    let words: Vec<&str> = names.iter().map(|name| name.rsplit('/').next().unwrap_or(name)).collect();
    if words.len() <= 3 { words.join(", ") } else { format!("{} images", words.len()) }
}

/// One cargo invocation for the whole workspace: with fewer packages cargo unites fewer features, and would compile what the
/// tests have compiled once more.
fn compile_binaries(log: &Log) -> Result<BTreeMap<String, PathBuf>> {
    check_libc()?;
    let mut binaries = executables(&cargo_build(log, &["--release", "--workspace", "--bins"])?);
    // The smaller one that is shipped.
    binaries.extend(executables(&cargo_build(
        log,
        &["--profile", "operator", "--package", "operator", "--bin", "operator", "--no-default-features"],
    )?));
    for name in COMPILED.iter().flat_map(|(_, names)| *names) {
        if !binaries.contains_key(*name) {
            bail!("no crate has a binary called {name}");
        }
    }
    Ok(binaries)
}

fn cargo_build(log: &Log, arguments: &[&str]) -> Result<String> {
    Run::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .in_directory(source::root()?)
        .args(["build", "--message-format", "json-render-diagnostics"])
        .args(arguments)
        .log(log)
        .output()
}

/// Cargo's messages, one JSON object a line: the executables among them that we make images of.
fn executables(messages: &str) -> BTreeMap<String, PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| {
            let name = message["target"]["name"].as_str()?;
            let path = message["executable"].as_str()?;
            let wanted = COMPILED.iter().any(|(_, names)| names.contains(&name));
            wanted.then(|| (name.to_owned(), PathBuf::from(path)))
        })
        .collect()
}

/// glibc of the image's Debian. A binary linked against a newer one does not start there.
const LIBC_OF_THE_IMAGE: (u32, u32) = (2, 36);

fn check_libc() -> Result<()> {
    let Ok(text) = Run::new("getconf").arg("GNU_LIBC_VERSION").output() else { return Ok(()) };
    match libc_version(&text) {
        Some(version) if version > LIBC_OF_THE_IMAGE => bail!(
            "this machine has {text}, and what is compiled here does not start in images of Debian 12, which have glibc 2.36: \
             run this on Debian 12, on Ubuntu 22.04, or in a container of one of them that can use Docker"
        ),
        _ => Ok(()),
    }
}

fn libc_version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}

/// Folders of the web client that are made, not written.
const MADE: [&str; 3] = ["node_modules", "dist", "coverage"];

/// Builds the client in the cache, so that the checkout stays as it is. Answers the folder of what browsers load.
fn build_web(cache: &Cache, progress: &Progress) -> Result<PathBuf> {
    let source = source::root()?.join("services/web");
    let files = files_below_except(&source, &MADE)?;
    let mut key = Key::of("web client");
    for file in &files {
        key = key.text(&file.strip_prefix(&source)?.to_string_lossy()).file(file)?;
    }
    let (key, folder) = (key.finish(), cache.directory("web")?);
    let (mark, made) = (folder.join("built-from"), folder.join("dist"));
    if fs::read_to_string(&mark).is_ok_and(|built| built == key) && made.is_dir() {
        return Ok(made);
    }
    progress.step("build the web client", "Mend what npm says above, then run the command again.", |log| {
        need("npm", "install Node.js 20 or newer with npm")?;
        let _ = fs::remove_file(&mark);
        copy_sources(&source, &files, &folder)?;
        install_packages(&folder, log)?;
        Run::new("npm").args(["run", "build"]).in_directory(&folder).log(log).execute()?;
        fs::write(&mark, &key)?;
        Ok(made)
    })
}

/// Makes `folder` hold exactly `files` and what was made before.
fn copy_sources(source: &Path, files: &[PathBuf], folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("node_modules") {
            fs::remove_dir_all(&path)?;
        } else if path.is_file() {
            fs::remove_file(&path)?;
        }
    }
    for file in files {
        let target = folder.join(file.strip_prefix(source)?);
        fs::create_dir_all(target.parent().unwrap_or(folder))?;
        fs::copy(file, &target).with_context(|| format!("cannot copy {}", file.display()))?;
    }
    Ok(())
}

fn install_packages(folder: &Path, log: &Log) -> Result<()> {
    let key = Key::of("npm").file(&folder.join("package-lock.json"))?.finish();
    let mark = folder.join("node_modules/installed-from");
    if fs::read_to_string(&mark).is_ok_and(|installed| installed == key) {
        return Ok(());
    }
    Run::new("npm").args(["ci", "--no-audit", "--no-fund"]).in_directory(folder).log(log).execute()?;
    Ok(fs::write(mark, key)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn the_release_before_is_one_that_this_release_may_follow() {
        let numbers = |release: &str| release.split('.').map(|part| part.parse().unwrap()).collect::<Vec<u32>>();
        let (before, now) = (numbers(PREVIOUS), numbers(VERSION));
        assert!(before < now && now[0] - before[0] <= 1 && (now[0] > before[0] || now[1] - before[1] <= 1));
    }

    #[test]
    fn executables_are_read_from_cargos_messages() {
        let messages = "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"auth\"},\"executable\":\"/t/auth\"}\n{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"auth\"},\"executable\":null}\n{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"crdgen\"},\"executable\":\"/t/crdgen\"}\nnot json\n";
        let found = executables(messages);
        assert_eq!(found.len(), 1);
        assert_eq!(found["auth"], Path::new("/t/auth"));
    }

    #[test]
    fn nodes_images_are_known_by_every_tag() {
        let listed =
            json!({"images": [{"id": "sha256:1", "repoTags": ["a:1", "b:1"]}, {"id": "sha256:2", "repoTags": []}]});
        let ids = ids_by_name(&listed);
        assert_eq!(ids["b:1"], "sha256:1");
        assert_eq!(ids.len(), 2);
    }

    #[test]
    fn only_deployments_of_a_changed_image_are_restarted() {
        let deployment = |name: &str, image: &str| json!({"metadata": {"namespace": "n", "name": name}, "spec": {"template": {"spec": {"containers": [{"image": image}]}}}});
        let listed = json!({"items": [deployment("a", "chatplatform/auth:0.1.0"), deployment("b", "docker.io/chatplatform/chat:0.1.0")]});
        assert_eq!(users_of(&listed, &[name_of("auth")]), [("n".to_owned(), "a".to_owned())]);
        assert_eq!(users_of(&listed, &[name_of("chat")]), [("n".to_owned(), "b".to_owned())]);
        assert!(users_of(&listed, &[name_of("media")]).is_empty());
    }

    #[test]
    fn a_newer_libc_than_the_images_is_seen() {
        assert!(libc_version("glibc 2.39").unwrap() > LIBC_OF_THE_IMAGE);
        assert!(libc_version("glibc 2.35").unwrap() < LIBC_OF_THE_IMAGE);
    }
}
