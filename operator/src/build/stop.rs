//! How what serves requests stops, so that none is lost: one course of events for all, and the times that it takes.
//!
//! | from | what happens |
//! |---|---|
//! | 0 s | The pod is leaving: Kubernetes takes it out of its Services. The server is not told yet ([`PAUSE_SECONDS`]). |
//! | 2 s | SIGTERM. A service is not ready any more. New connections are still taken, since not every node and proxy knows; answers tell clients to close theirs ([`SETTLE_SECONDS`]). |
//! | 8 s | No new connection, and idle ones are closed. Requests end; sockets are closed one by one, and connect elsewhere ([`Work::drain_seconds`]). |
//! | | The server ends as soon as nothing is in hand, which is long before Kubernetes kills it ([`Work::grace_seconds`]). |
//!
//! Endpoints are withdrawn within about a second: `EndpointSlices` follow a deletion at once, and kube-proxy writes its rules once a second
//! (`minSyncPeriod`); Traefik takes two (`providersThrottleDuration`). Names that are looked up again every few seconds take longer.

use k8s_openapi::api::core::v1::{Container, Lifecycle, LifecycleHandler, SleepAction};

/// Between the pod's leaving and SIGTERM.
pub const PAUSE_SECONDS: i64 = 2;
/// Between SIGTERM and the last new connection.
pub const SETTLE_SECONDS: i64 = 6;
/// How long a client among our own keeps an idle connection: shorter than [`SETTLE_SECONDS`], so that it has let go of each before the
/// server does, and no request meets a connection that is just being closed.
pub const KEEP_IDLE_SECONDS: i64 = 4;
/// From the moment at which everything should have ended to SIGKILL.
const SPARE_SECONDS: i64 = 7;

/// What may be in hand when a pod is to go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Work {
    /// Requests that take seconds, and sockets.
    Requests,
    /// Files too, which on a slow line take a minute.
    Transfers,
}

impl Work {
    /// How long what is in hand may take to end.
    #[must_use]
    pub fn drain_seconds(self) -> i64 {
        match self {
            Self::Requests => 20,
            Self::Transfers => 60,
        }
    }

    /// When Kubernetes kills what has not ended by itself.
    #[must_use]
    pub fn grace_seconds(self) -> i64 {
        PAUSE_SECONDS + SETTLE_SECONDS + self.drain_seconds() + SPARE_SECONDS
    }
}

/// The pause before a container is told to stop.
#[must_use]
pub fn leave_first(container: Container) -> Container {
    let pause = LifecycleHandler { sleep: Some(SleepAction { seconds: PAUSE_SECONDS }), ..LifecycleHandler::default() };
    Container { lifecycle: Some(Lifecycle { pre_stop: Some(pause), ..Lifecycle::default() }), ..container }
}
