//! Startup, readiness and liveness.
//!
//! Startup and readiness are asked often, so that a platform is ready soon after its servers are. Liveness is asked seldom and of
//! the process alone: a restart cures nothing that another server suffers from.

use k8s_openapi::api::core::v1::{Container, ExecAction, HTTPGetAction, Probe, TCPSocketAction};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// What a probe asks.
#[derive(Clone, Copy, Debug)]
pub enum Question {
    /// A GET of a path on a named port answers with 2xx or 3xx.
    Http(&'static str, &'static str),
    /// A named port accepts a connection.
    Tcp(&'static str),
    /// A command in the container succeeds. Each costs a process, so it is asked more seldom than the others.
    Command(&'static [&'static str]),
}

/// Adds the three probes to a container that may take `startup_seconds` to start.
#[must_use]
pub fn probed(container: Container, startup_seconds: i32, alive: Question, ready: Question) -> Container {
    Container {
        startup_probe: Some(probe(alive, 1, startup_seconds, 2)),
        // Three misses: a server that is slow for a moment must not take a service off the net.
        readiness_probe: Some(probe(ready, 2, 3, 5)),
        liveness_probe: Some(probe(alive, 10, 3, 5)),
        ..container
    }
}

/// One probe.
#[must_use]
pub fn probe(question: Question, period_seconds: i32, failure_threshold: i32, timeout_seconds: i32) -> Probe {
    let probe = Probe {
        period_seconds: Some(period_seconds),
        failure_threshold: Some(failure_threshold),
        timeout_seconds: Some(timeout_seconds),
        ..Probe::default()
    };
    match question {
        Question::Http(port, path) => Probe {
            http_get: Some(HTTPGetAction {
                path: Some(path.into()),
                port: IntOrString::String(port.into()),
                scheme: Some("HTTP".into()),
                ..HTTPGetAction::default()
            }),
            ..probe
        },
        Question::Tcp(port) => {
            Probe { tcp_socket: Some(TCPSocketAction { port: IntOrString::String(port.into()), host: None }), ..probe }
        }
        Question::Command(command) => {
            Probe { exec: Some(ExecAction { command: Some(super::container::words(command)) }), ..probe }
        }
    }
}
