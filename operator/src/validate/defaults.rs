//! Defaults of size: a whole minimal platform fits a machine of 2 cores and 8 GiB beside the cluster itself.

use crate::build::Component;

/// The `MongoDB` server that the tests run.
pub(crate) const MONGODB_VERSION: &str = "6.0.5";
/// The region that S3 services take which have none.
pub(super) const REGION: &str = "us-east-1";

/// CPU and memory of a component's pod that says nothing of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Amounts {
    /// Requested CPU.
    pub(super) cpu: &'static str,
    /// Requested memory.
    pub(super) memory: &'static str,
    /// Memory above which the container is killed. CPU has no limit: a limit only slows down what idle cores could do.
    pub(super) memory_limit: &'static str,
}

/// The default amounts of a component.
pub(super) fn amounts(component: Component) -> Amounts {
    let (cpu, memory, memory_limit) = match component {
        Component::MongoDb => ("50m", "200Mi", "512Mi"),
        Component::Redis | Component::Edge => ("20m", "32Mi", "128Mi"),
        Component::RabbitMq => ("50m", "160Mi", "512Mi"),
        Component::Gateway => ("20m", "32Mi", "256Mi"),
        // Each hash of a password takes 19 MiB for a moment; the store reads and writes through as much.
        Component::Auth | Component::ObjectStorage => ("20m", "64Mi", "256Mi"),
        Component::Chat => ("30m", "48Mi", "384Mi"),
        // Images are decoded to be made smaller.
        Component::Media => ("20m", "48Mi", "384Mi"),
        Component::Notification => ("10m", "32Mi", "192Mi"),
        Component::Web => ("10m", "16Mi", "64Mi"),
    };
    Amounts { cpu, memory, memory_limit }
}

/// The default size of a volume.
pub(crate) fn volume(component: Component) -> &'static str {
    match component {
        Component::MongoDb => "2Gi",
        Component::Redis => "512Mi",
        Component::ObjectStorage => "5Gi",
        _ => "1Gi",
    }
}
