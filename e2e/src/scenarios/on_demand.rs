//! Images that no node holds before a scenario asks for them.

use anyhow::Result;

use crate::cluster::Cluster;
use crate::images;
use crate::offline::images as offline;
use crate::progress::Progress;

/// Puts an image into the nodes: pulled where that can be, else built.
pub(super) fn put_image(cluster: &Cluster, image: offline::Image) -> Result<()> {
    let (cache, engine) = (cluster.cache(), cluster.engine());
    let progress = Progress::new(cache.logs());
    if engine.offline.is_some() {
        offline::ensure_on_demand(cache, &progress, &engine.docker, image)?;
    } else {
        engine.docker.run().args(["pull", "--quiet", image.name]).execute()?;
    }
    images::load(cluster, &[image.name.to_owned()], &progress).map(drop)
}
