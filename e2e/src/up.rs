//! `cargo e2e up`: from whatever is there to a running platform.

use anyhow::Result;

use crate::cache::Cache;
use crate::cluster::{self, Cluster, DEFAULT_NAME, Ports};
use crate::command::on_path;
use crate::platform::{self, Platform};
use crate::progress::{Progress, seconds};
use crate::{images, together};

/// The document a first platform is made from.
const EXAMPLE: &str = "examples/minimal.yaml";

/// Brings all up, tells of it, and says how to go on.
pub fn up(name: &str, ports: Ports) -> Result<()> {
    let cache = Cache::open()?;
    let progress = Progress::new(cache.logs());
    for gone in cluster::remove_abandoned(&cache)? {
        progress.say(format!("removed the cluster {gone}, which a test run that was killed had left"));
    }
    let (cluster, platform) = everything(&cache, name, ports, &progress)?;
    farewell(&cluster, &platform, &progress);
    Ok(())
}

/// The cluster alone, without anything of ours on it.
pub fn bare(name: &str, ports: Ports) -> Result<()> {
    let cache = Cache::open()?;
    let progress = Progress::new(cache.logs());
    let cluster = Cluster::up(name, ports, &progress)?;
    println!("\n  export KUBECONFIG={}", cluster.kubeconfig().display());
    Ok(())
}

fn everything(cache: &Cache, name: &str, ports: Ports, progress: &Progress) -> Result<(Cluster, Platform)> {
    // Compiling needs no cluster, and a cluster that starts leaves cores idle.
    let (cluster, built) = together::both(|| Cluster::up(name, ports, progress), || images::compile(cache, progress))?;
    install(&cluster, &built, progress)?;
    let document = platform::document(EXAMPLE, &platform::exposed_on_this_machine())?;
    let platform = platform::apply(&cluster, &document, progress)?;
    Ok((cluster, platform))
}

/// Puts what was compiled on a cluster: all images, and the operator.
pub fn install(cluster: &Cluster, built: &images::Built, progress: &Progress) -> Result<()> {
    put_images(cluster, built, progress)?;
    platform::install_operator(cluster, progress)
}

/// Builds what changed, loads it into the nodes and restarts what runs an older build.
fn put_images(cluster: &Cluster, built: &images::Built, progress: &Progress) -> Result<()> {
    let engine = cluster.engine();
    let mut names = images::build(cluster.cache(), &engine.docker, built, progress)?;
    if engine.offline.is_some() {
        // Inside the node image already, unless the cluster is older than a change to one of them. On a normal machine the nodes pull them.
        names.extend(crate::offline::images::of_platforms());
    }
    let loaded = images::load(cluster, &names, progress)?;
    images::restart_users_of(cluster, &loaded, progress)
}

fn farewell(cluster: &Cluster, platform: &Platform, progress: &Progress) {
    let url = cluster.url();
    let which = if cluster.name() == DEFAULT_NAME { String::new() } else { format!("--cluster {} ", cluster.name()) };
    println!(
        "
The platform {name} is Ready at {url} after {elapsed}.
Its certificate is signed by the operator's own CA, so a browser asks once whether you trust it.

Make an account: open that address and choose \"Create account\", or
  curl --insecure {url}/api/v1/auth/register --json '{{\"email\": \"ada@example.com\", \"username\": \"ada\", \"password\": \"a long pass phrase\"}}'

Look around:
  export KUBECONFIG={kubeconfig}{path}
  kubectl get chatplatform
  kubectl describe chatplatform {name}

cargo e2e status      what runs, and where
cargo e2e {which}logs chat   what a component says
cargo e2e test        every test, on a cluster of its own
cargo e2e {which}down        remove all of this",
        name = platform.name,
        elapsed = seconds(progress.elapsed()),
        kubeconfig = cluster.kubeconfig().display(),
        path = path_line(cluster),
    );
}

/// A line that puts kubectl on PATH, where the machine has none.
fn path_line(cluster: &Cluster) -> String {
    match (on_path("kubectl"), cluster.kubectl_program().parent()) {
        (None, Some(folder)) => format!("\n  export PATH={}:$PATH", folder.display()),
        _ => String::new(),
    }
}
