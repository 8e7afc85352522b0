//! The operator's process: settings, logs, the election, the pipeline while it leads, and an orderly end.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `POD_NAMESPACE` | namespace of the operator and its Lease, from which it logs in to servers | that of its service account |
//! | `POD_NAME` | name of this pod, seen in events and in the Lease | the host's name |
//! | `WATCH_NAMESPACE` | the only namespace to look after | all |
//! | `LISTEN` | address of `/livez`, `/readyz` and `/metrics` | `0.0.0.0:9090` |
//! | `LOG` | targets and their levels | `info,kube=warn` |
//! | `OTEL_EXPORTER_OTLP_ENDPOINT` | collector that traces of runs are sent to; see [`otlp`] | none |

use std::env;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use kube::{Client, Config};
use operator::api::ChatPlatform;
use operator::lease::{Election, Leadership, Timing};
use operator::reconcile::Context;
use operator::telemetry::{self, Metrics};
use operator::watch;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

const LEASE: &str = "chatplatform-operator";
/// How long the API server may take for its first answer, and the pause until it is asked again.
const PATIENCE: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(2);

// One thread: there is little to do at a time, and each thread would have memory of its own.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the operator stops");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    // Until the end, when it sends the last of the traces.
    let _telemetry = telemetry::init(&setting("LOG").unwrap_or_else(|| "info,kube=warn".into()))?;
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| anyhow::anyhow!("a TLS provider was installed twice"))?;
    let config = Config::incluster().context("not in a cluster: there is no service account")?;
    let namespace = setting("POD_NAMESPACE").unwrap_or_else(|| config.default_namespace.clone());
    let metrics = Arc::new(Metrics::new(operator::VERSION));
    let client =
        operator::client::connect(config, metrics.clone()).context("cannot make a client of the API server")?;

    let stop = on_signal()?;
    let served = CancellationToken::new();
    let listen = setting("LISTEN").unwrap_or_else(|| "0.0.0.0:9090".into());
    let listener = TcpListener::bind(&listen).await.with_context(|| format!("cannot listen at {listen}"))?;
    let (readiness, ready) = tokio::sync::watch::channel(Err("has not reached the API server yet".to_owned()));
    let probes = tokio::spawn(telemetry::serve(listener, metrics.clone(), ready, served.clone()));

    let watched = setting("WATCH_NAMESPACE");
    tokio::select! {
        () = reach(&client, watched.as_deref(), |why| drop(readiness.send_replace(Err(why)))) => {}
        () = stop.cancelled() => return Ok(()),
    }
    // Nothing but the server of probes reads it.
    let _ = readiness.send_replace(Ok(()));
    tracing::info!(version = operator::VERSION, namespace, watched, "the operator has started");

    let (election, leadership) = Election::new(client.clone(), &namespace, LEASE, &identity(), Timing::default());
    let released = CancellationToken::new();
    let election = tokio::spawn(election.run(released.clone()));
    let outcome = lead(client, namespace, watched.as_deref(), leadership, metrics, stop).await;
    released.cancel();
    // Whoever waits for the lease need not wait for its end.
    election.await.context("the election failed")?;
    served.cancel();
    probes.await.context("the server of probes failed")??;
    outcome
}

/// Waits for the lease and works while it is held.
async fn lead(
    client: Client,
    namespace: String,
    watched: Option<&str>,
    mut leadership: Leadership,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    tokio::select! {
        () = leadership.acquired() => {}
        () = stop.cancelled() => return Ok(()),
    }
    metrics.leading(true);
    let context = Arc::new(Context::new(client.clone(), namespace, instance(), leadership.clone(), metrics.clone()));
    let outcome = tokio::select! {
        () = watch::run(client, watched, context, stop) => Ok(()),
        // What was decided while leading must not be written afterwards: the process ends at once and starts anew as a follower.
        () = leadership.lost() => Err(anyhow::anyhow!("the lease was lost")),
    };
    metrics.leading(false);
    outcome
}

/// Waits until the API server lets this operator list platforms, and tells why it does not yet: it is away, the resource's definition is
/// still to be applied, or a right is missing. To end instead would be to start again and again, each time after a longer wait, and to be
/// late when all is there.
async fn reach(client: &Client, namespace: Option<&str>, tell: impl Fn(String)) {
    loop {
        let why = match tokio::time::timeout(PATIENCE, definition_is_there(client, namespace)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => format!("{error:#}"),
            Err(_) => format!("the API server did not answer within {} s", PATIENCE.as_secs()),
        };
        tracing::warn!(error = why, "cannot begin yet");
        tell(why);
        tokio::time::sleep(RETRY).await;
    }
}

/// Without its definition the resource cannot be watched, and the watch would only say "not found", again and again.
async fn definition_is_there(client: &Client, namespace: Option<&str>) -> anyhow::Result<()> {
    let first = kube::api::ListParams::default().limit(1);
    match watch::platforms_in::<ChatPlatform>(client, namespace).list_metadata(&first).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => {
            Err(anyhow::anyhow!("the cluster does not know ChatPlatform: apply crds/chatplatform.yaml"))
        }
        Err(error) => Err(error).context("cannot list ChatPlatforms"),
    }
}

/// Cancelled by SIGTERM, as the kubelet sends it, and by SIGINT, as a terminal does.
fn on_signal() -> anyhow::Result<CancellationToken> {
    let token = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let stop = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        stop.cancel();
    });
    Ok(token)
}

/// This pod, for events.
fn instance() -> String {
    setting("POD_NAME").or_else(|| setting("HOSTNAME")).unwrap_or_else(|| LEASE.into())
}

/// This process and no other, for the lease: a container restarts within its pod.
fn identity() -> String {
    format!("{}_{}", instance(), ulid::Ulid::generate())
}

fn setting(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
