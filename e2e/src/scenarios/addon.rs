//! What a cluster has beside Kubernetes while one scenario runs.

use anyhow::Result;

use crate::cluster::Cluster;
use crate::images;
use crate::offline::images as offline;
use crate::progress::Progress;

/// Puts the image of such a program into the nodes: pulled where that can be, else built.
pub(super) fn put_image(cluster: &Cluster, image: offline::Image) -> Result<()> {
    let (cache, engine) = (cluster.cache(), cluster.engine());
    let progress = Progress::new(cache.logs());
    let name = image.name.to_owned();
    if engine.offline.is_some() {
        offline::ensure_by_name(cache, &progress, &engine.docker, image)?;
    } else {
        engine.docker.run().args(["pull", "--quiet", &name]).execute()?;
    }
    images::load(cluster, &[name], &progress).map(drop)
}
