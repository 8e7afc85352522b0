//! Programs that are to be had as Go modules, built once per version into the cache.

mod traefik;

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};

use crate::cache::{Cache, Key};
use crate::command::{Run, need};
use crate::progress::{Log, Progress};
use crate::source;
use crate::together;

/// A program in a Go module.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// The binary's name.
    pub name: &'static str,
    /// The module that holds it.
    pub module: &'static str,
    /// The module's version.
    pub version: &'static str,
    /// The package to build, below the module; empty for the module itself.
    pub package: &'static str,
}

/// Makes clusters. Pinned: it says that a later release drops cgroup v1, and the node image is made of its files.
pub const KIND: Tool = Tool { name: "kind", module: "sigs.k8s.io/kind", version: "v0.33.0", package: "" };
/// Installs the operator's chart.
pub const HELM: Tool = Tool { name: "helm", module: "helm.sh/helm/v4", version: "v4.3.1", package: "/cmd/helm" };
/// The cluster's DNS.
pub const COREDNS: Tool =
    Tool { name: "coredns", module: "github.com/coredns/coredns", version: "v1.15.0", package: "" };
/// kubeadm, kind and people look into a node's containers with it.
pub const CRICTL: Tool =
    Tool { name: "crictl", module: "sigs.k8s.io/cri-tools", version: "v1.36.0", package: "/cmd/crictl" };
/// Makes the volumes of the default `StorageClass`.
pub const LOCAL_PATH: Tool = Tool {
    name: "local-path-provisioner",
    module: "github.com/rancher/local-path-provisioner",
    version: "v0.0.30",
    package: "",
};
/// Feeds `kubectl top` and autoscaling.
pub const METRICS_SERVER: Tool = Tool {
    name: "metrics-server",
    module: "sigs.k8s.io/metrics-server",
    version: "v0.9.0",
    package: "/cmd/metrics-server",
};
/// The S3 server of a managed object store.
pub const VERSITYGW: Tool =
    Tool { name: "versitygw", module: "github.com/versity/versitygw", version: "v1.8.0", package: "/cmd/versitygw" };

/// An ingress controller that knows Ingresses and the Gateway API, for the scenarios that ask for it by name. The modules that are not to be
/// had, or not in a version that fits, have others in their place: see `traefik`.
pub const TRAEFIK: Tool =
    Tool { name: "traefik", module: "github.com/traefik/traefik/v3", version: "v3.7.13", package: "/cmd/traefik" };
/// The definitions of the Gateway API that it is made for.
pub const GATEWAY_API: (&str, &str) = ("sigs.k8s.io/gateway-api", "v1.6.1");

/// Enforces network policies, for the scenarios that ask for it by name: kind's own network does, that of these nodes does not.
pub const KUBE_ROUTER: Tool = Tool {
    name: "kube-router",
    module: "github.com/cloudnativelabs/kube-router/v2",
    version: "v2.1.0",
    package: "/cmd/kube-router",
};

/// Serves metrics that it is told, as adapters of monitoring systems serve theirs, for the scenario that asks for it by name.
pub const TEST_ADAPTER: Tool = Tool {
    name: "test-adapter",
    module: "sigs.k8s.io/custom-metrics-apiserver",
    version: "v1.37.0",
    package: "/test-adapter",
};

/// The definitions of cert-manager.
pub const CERT_MANAGER: (&str, &str) = ("github.com/cert-manager/cert-manager", "v1.21.2");

/// Every tool of a machine without registries, the longest build first.
pub const OFFLINE: [Tool; 7] = [COREDNS, METRICS_SERVER, HELM, LOCAL_PATH, CRICTL, VERSITYGW, KIND];

/// The Kubernetes release of the offline node image.
pub const KUBERNETES: &str = "1.36.3";

/// The oldest Go that builds all of the above.
const GO_MINOR: u32 = 26;

/// Where `tool` is in the cache once built.
#[must_use]
pub fn place(cache: &Cache, tool: &Tool) -> PathBuf {
    cache.root().join("tools").join(format!("{}-{}", tool.name, tool.version)).join(tool.name)
}

/// Builds `tool` unless the cache has it.
pub fn ensure(cache: &Cache, progress: &Progress, tool: &Tool) -> Result<PathBuf> {
    let place = place(cache, tool);
    if !place.exists() {
        check_go()?;
        progress.step(&format!("build {} {}", tool.name, tool.version), CURE, |log| build(cache, tool, &place, log))?;
    }
    Ok(place)
}

/// An error where something is to be built and no fitting Go is there.
pub fn check(cache: &Cache) -> Result<()> {
    if missing(cache)?.is_empty() { Ok(()) } else { check_go() }
}

/// What is not built yet; `None` is Kubernetes.
fn missing(cache: &Cache) -> Result<VecDeque<Option<Tool>>> {
    let kubernetes = if kubernetes_place(cache)?.exists() { None } else { Some(None) };
    let tools = OFFLINE.into_iter().filter(|tool| !place(cache, tool).exists()).map(Some);
    Ok(kubernetes.into_iter().chain(tools).collect())
}

/// Builds every tool of [`OFFLINE`] and Kubernetes itself, two at a time: linking uses one core only.
pub fn ensure_all(cache: &Cache, progress: &Progress) -> Result<()> {
    let kubernetes = kubernetes_place(cache)?;
    let missing = missing(cache)?;
    if missing.is_empty() {
        return Ok(());
    }
    check_go()?;
    let queue = Mutex::new(missing);
    together::twice(|| {
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            match next {
                None => return Ok(()),
                Some(Some(tool)) => drop(ensure(cache, progress, &tool)?),
                Some(None) => progress.step(&format!("build Kubernetes {KUBERNETES}"), CURE, |log| {
                    build_kubernetes(cache, &kubernetes, log)
                })?,
            }
        }
    })
}

/// One static binary that is every component of Kubernetes, by the name it is called with.
pub fn kubernetes_place(cache: &Cache) -> Result<PathBuf> {
    let key = Key::of("hyperkube").text(KUBERNETES).tree(&source::offline()?.join("hyperkube"))?.finish();
    Ok(cache.root().join("tools").join(format!("hyperkube-v{KUBERNETES}-{key}")).join("hyperkube"))
}

/// The folder of `tool`'s module in the Go module cache.
pub fn module_directory(tool: &Tool) -> Result<PathBuf> {
    directory_of(tool.module, tool.version)
}

/// The folder of a module in the Go module cache.
pub fn directory_of(module: &str, version: &str) -> Result<PathBuf> {
    let download = download(Path::new("/"), &format!("{module}@{version}"))?;
    Ok(download["Dir"].as_str().context("go mod download named no folder")?.into())
}

fn download(directory: &Path, module: &str) -> Result<serde_json::Value> {
    let text = go(directory).env("GOFLAGS", "-mod=mod").args(["mod", "download", "-json", module]).output()?;
    serde_json::from_str(&text).context("go mod download did not answer JSON")
}

const CURE: &str = "Go modules come from the module proxy that `go env GOPROXY` names. Run the command again to go on; what is built stays.";

fn build(cache: &Cache, tool: &Tool, place: &Path, log: &Log) -> Result<()> {
    let module = workshop(cache, tool.name)?;
    if tool.name == TRAEFIK.name {
        traefik::furnish(&module)?;
    }
    let package = format!("{}{}", tool.module, tool.package);
    go(&module).args(["get", &format!("{package}@{}", tool.version)]).log(log).execute()?;
    let fresh = module.join("built");
    go(&module)
        .env("CGO_ENABLED", "0")
        .args(["build", "-trimpath", "-ldflags", "-s -w", "-o"])
        .arg(&fresh)
        .arg(&package)
        .log(log)
        .execute()?;
    put(&fresh, place)
}

fn build_kubernetes(cache: &Cache, place: &Path, log: &Log) -> Result<()> {
    let module = cache.directory("go/hyperkube")?;
    fs::copy(source::offline()?.join("hyperkube/main.go"), module.join("main.go"))?;
    let downloaded = download(&module, &format!("k8s.io/kubernetes@v{KUBERNETES}"))?;
    let upstream = downloaded["GoMod"].as_str().context("go mod download named no go.mod")?;
    fs::write(module.join("go.mod"), kubernetes_module(&fs::read_to_string(upstream)?))?;
    go(&module).args(["mod", "tidy"]).log(log).execute()?;
    let fresh = module.join("built");
    go(&module)
        .args(["build", "-trimpath", "-ldflags", &kubernetes_link_flags(), "-o"])
        .arg(&fresh)
        .arg(".")
        .log(log)
        .execute()?;
    put(&fresh, place)
}

/// k8s.io/kubernetes names its staging modules at v0.0.0 and replaces them by folders of its own repository;
/// outside of it, each is the published module of the same release.
fn kubernetes_module(upstream: &str) -> String {
    let staging = format!("v0.{}", KUBERNETES.trim_start_matches("1."));
    let mut modules: Vec<&str> = upstream
        .lines()
        .map(|line| line.trim().trim_start_matches("require "))
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?, words.next()?))
        })
        .filter(|(module, version)| module.starts_with("k8s.io/") && *version == "v0.0.0")
        .map(|(module, _)| module)
        .collect();
    modules.sort_unstable();
    modules.dedup();
    let mut text = format!("module hyperkube\n\ngo 1.{GO_MINOR}.0\n\nrequire k8s.io/kubernetes v{KUBERNETES}\n\n");
    for module in modules {
        text.extend(["replace ", module, " => ", module, " ", &staging, "\n"]);
    }
    text
}

/// What Kubernetes' own build links in, so that every component knows its version.
fn kubernetes_link_flags() -> String {
    let minor = KUBERNETES.split('.').nth(1).unwrap_or_default();
    let mut flags = String::from("-s -w -linkmode external -extldflags -static");
    for package in ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"] {
        for (name, value) in [
            ("gitVersion", format!("v{KUBERNETES}")),
            ("gitMajor", "1".to_owned()),
            ("gitMinor", minor.to_owned()),
            ("gitTreeState", "clean".to_owned()),
        ] {
            flags.extend([" -X ", package, ".", name, "=", &value]);
        }
    }
    flags
}

/// A module of our own to build `name` in, so that its dependencies are those its own go.mod asks for.
fn workshop(cache: &Cache, name: &str) -> Result<PathBuf> {
    let module = cache.directory(Path::new("go").join(name))?;
    if !module.join("go.mod").exists() {
        fs::write(module.join("go.mod"), format!("module chatplatform.dev/e2e/{name}\n\ngo 1.{GO_MINOR}.0\n"))?;
    }
    Ok(module)
}

fn go(module: &Path) -> Run {
    Run::new("go").in_directory(module).env("GOTOOLCHAIN", "local")
}

/// Renaming is atomic: a build that was killed leaves nothing that looks finished.
fn put(fresh: &Path, place: &Path) -> Result<()> {
    let folder = place.parent().context("a tool has a folder")?;
    fs::create_dir_all(folder)?;
    fs::rename(fresh, place).with_context(|| format!("cannot write {}", place.display()))
}

fn check_go() -> Result<()> {
    need("go", &format!("install Go 1.{GO_MINOR} or newer (https://go.dev/dl)"))?;
    let version = Run::new("go").args(["env", "GOVERSION"]).output()?;
    match minor_of(&version) {
        Some(minor) if minor >= GO_MINOR => Ok(()),
        _ => bail!(
            "Go 1.{GO_MINOR} or newer is needed to build the cluster's programs, and this is {version}: install it (https://go.dev/dl)"
        ),
    }
}

fn minor_of(version: &str) -> Option<u32> {
    let rest = version.strip_prefix("go1.")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_go_are_read() {
        assert_eq!(minor_of("go1.26.8"), Some(26));
        assert_eq!(minor_of("go1.27rc1"), Some(27));
        assert_eq!(minor_of("devel"), None);
    }

    #[test]
    fn staging_modules_become_published_ones() {
        let upstream = "module k8s.io/kubernetes\nrequire (\n\tk8s.io/api v0.0.0\n\tk8s.io/utils v0.0.0-2026\n\tk8s.io/kubelet v0.0.0\n)\nreplace (\n\tk8s.io/api => ./staging/src/k8s.io/api\n)\n";
        let module = kubernetes_module(upstream);
        assert!(module.contains("replace k8s.io/api => k8s.io/api v0.36.3\n"), "{module}");
        assert!(module.contains("replace k8s.io/kubelet => k8s.io/kubelet v0.36.3\n"), "{module}");
        assert!(!module.contains("utils"), "{module}");
    }
}
