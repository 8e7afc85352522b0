//! The pipeline.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::core::{DeserializeGuard, error_boundary::InvalidObject};
use kube::runtime::controller::Action;
use kube::runtime::events::{Recorder, Reporter};
use kube::{Client, Resource as _, ResourceExt as _};
use rand::RngExt as _;

use crate::api::{ChatPlatform, ChatPlatformStatus};
use crate::asked::Asked;
use crate::build::Component;
use crate::lease::Leadership;
use crate::proven::{HOLDS_OF_OTHERS, Proven, Provisioned};
use crate::reason::Reason;
use crate::report::{Found, Outcome};
use crate::telemetry::Metrics;
use crate::{FIELD_MANAGER, apply, build, observe, report, roll, validate};

/// A whole look at a platform at rest, in case an event was lost or a server was changed by hand.
const RESYNC: Duration = Duration::from_mins(10);
/// The first and the longest wait before another look at a platform that is not ready.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(30);

/// What runs of the pipeline share.
pub struct Context {
    client: Client,
    namespace: String,
    recorder: Recorder,
    leadership: Leadership,
    metrics: Arc<Metrics>,
    proven: Proven,
    asked: Asked,
    memory: Mutex<HashMap<String, Memory>>,
}

/// What is remembered of a platform between runs.
#[derive(Default)]
struct Memory {
    /// The status that was written last; the one in the watch's store may be older.
    status: Option<ChatPlatformStatus>,
    /// Runs since it was last ready.
    attempts: u32,
}

/// Why a run ended early, by step.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `observe`.
    #[error(transparent)]
    Observe(#[from] observe::Error),
    /// `validate`.
    #[error(transparent)]
    Validate(#[from] validate::Error),
    /// `apply`.
    #[error(transparent)]
    Apply(#[from] apply::Error),
    /// `roll`.
    #[error(transparent)]
    Roll(#[from] roll::Error),
    /// `report`.
    #[error(transparent)]
    Report(#[from] report::Error),
    /// Another operator leads by now.
    #[error("another operator leads")]
    NotLeading,
}

impl Error {
    /// The word for the condition's reason, the event's reason and the metric's label.
    #[must_use]
    pub fn category(&self) -> Reason {
        match self {
            Self::Observe(error) => error.category(),
            Self::Validate(error) => error.category(),
            Self::Apply(error) => error.category(),
            Self::Roll(error) => error.category(),
            Self::Report(error) => error.category(),
            Self::NotLeading => Reason::NotLeading,
        }
    }

    fn outcome<'a>(&'a self, message: &'a str) -> Outcome<'a> {
        let reason = self.category();
        match self {
            Self::Validate(_) => Outcome::Invalid { reason, message },
            Self::Apply(error) => Outcome::Failed { reason, message, is_final: error.is_final() },
            Self::Observe(_) | Self::Roll(_) | Self::Report(_) | Self::NotLeading => {
                Outcome::Failed { reason, message, is_final: false }
            }
        }
    }
}

/// Takes all six steps for one platform: observe, validate, build, apply, provision (and the replica set's restarts, which need its
/// word), report.
async fn pipeline(document: &ChatPlatform, context: &Context) -> Result<Provisioned, Error> {
    let uid = document.meta().uid.as_deref().unwrap_or_default();
    let kinds = context.asked.of(uid, &document.spec);
    let mut observed = observe::observe(&context.client, document, &kinds).await?;
    context.asked.learn(uid, &document.spec, &observed);
    observed.operator_namespace.clone_from(&context.namespace);
    observed.mongodb_members = context.proven.mongodb_members(uid);
    observed.mongodb_serves = context.proven.mongodb_serves(uid);
    let platform = validate::validate(document, &observed, &mut rand::rng(), Timestamp::now())?;
    let resources = build::build(&platform);
    context.still_leads()?;
    let applied = apply::apply(&context.client, &platform, resources, &observed).await?;
    context.still_leads()?;
    if roll::is_under_way(&platform, &observed, &applied) {
        // Who can be spared now is asked of the set itself, and not remembered.
        context.proven.doubt(&platform, Component::MongoDb);
    }
    let provisioned = context.proven.provision(&platform, &observed, context.is_ready(document)).await;
    context.still_leads()?;
    let roll = roll::roll(&context.client, &context.proven, &platform, &observed, &applied, &provisioned).await?;
    context.metrics.next_renewal(platform.material.renew_at());
    let found = Found { platform: &platform, applied: &applied, observed: &observed, provisioned: &provisioned, roll };
    context.report(document, Outcome::Done(&found)).await?;
    report::changes(&context.recorder, document, &provisioned.changes()).await;
    Ok(provisioned)
}

/// One look at one platform.
pub async fn reconcile(object: Arc<DeserializeGuard<ChatPlatform>>, context: Arc<Context>) -> Result<Action, Error> {
    context.still_leads()?;
    let document = match &object.0 {
        Ok(document) => document,
        Err(invalid) => return unreadable(invalid, &context).await,
    };
    // Everything it owns goes with it; there is nothing left to make.
    if document.meta().deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    if document.spec.paused {
        context.report(document, Outcome::Paused).await?;
        return Ok(Action::await_change());
    }
    let started = Instant::now();
    let outcome = pipeline(document, &context).await;
    let failure = match &outcome {
        Ok(provisioned) => provisioned.refusals().next().map(|refusal| refusal.category),
        Err(error) => Some(error.category()),
    };
    context.metrics.reconciled(started.elapsed(), failure.map(Reason::as_str));
    if let Err(error) = &outcome
        && !matches!(error, Error::NotLeading | Error::Report(_))
    {
        context.report(document, error.outcome(&error.to_string())).await?;
    }
    match outcome {
        Ok(_) if context.is_ready(document) => Ok(Action::requeue(jittered(resync(document)))),
        Ok(_) => Ok(Action::requeue(context.retry(document.meta().uid.as_deref()))),
        // A change of the document, or of a Secret it names, is an event of its own.
        Err(Error::Validate(error @ validate::Error::Spec(_))) => {
            tracing::warn!(error = %error, "the document cannot be carried out");
            Ok(Action::await_change())
        }
        Err(error) => Err(error),
    }
}

/// How long a platform at rest is left alone. The cluster tells nothing of a server that somebody else runs.
fn resync(document: &ChatPlatform) -> Duration {
    if document.spec.has_externals() { HOLDS_OF_OTHERS } else { RESYNC }
}

/// When to try again after an error.
#[expect(clippy::needless_pass_by_value, reason = "the controller calls it so")]
pub fn error_policy(object: Arc<DeserializeGuard<ChatPlatform>>, error: &Error, context: Arc<Context>) -> Action {
    tracing::warn!(error = %error, category = error.category().as_str(), name = object.name_any(), namespace = object.namespace(), "reconcile failed");
    Action::requeue(context.retry(object.meta().uid.as_deref()))
}

/// A document stored under another definition, which the types of this operator cannot hold.
async fn unreadable(invalid: &InvalidObject, context: &Context) -> Result<Action, Error> {
    let mut document = ChatPlatform::new(
        invalid.metadata.name.as_deref().unwrap_or_default(),
        crate::api::ChatPlatformSpec::default(),
    );
    document.metadata = invalid.metadata.clone();
    let message = format!("the document cannot be read: {}", invalid.error);
    context.report(&document, Outcome::Invalid { reason: Reason::InvalidSpec, message: &message }).await?;
    Ok(Action::await_change())
}

impl Context {
    /// A context with nothing remembered; `namespace` is the operator's own, and `instance` names this process in events.
    #[must_use]
    pub fn new(
        client: Client,
        namespace: String,
        instance: String,
        leadership: Leadership,
        metrics: Arc<Metrics>,
    ) -> Self {
        let reporter = Reporter { controller: FIELD_MANAGER.into(), instance: Some(instance) };
        Self {
            recorder: Recorder::new(client.clone(), reporter),
            client,
            namespace,
            leadership,
            metrics,
            proven: Proven::default(),
            asked: Asked::default(),
            memory: Mutex::default(),
        }
    }

    /// What is known of the kinds that a cluster may not have.
    #[must_use]
    pub fn asked(&self) -> &Asked {
        &self.asked
    }

    /// Forgets all platforms but those of which `exists` says that they are there.
    pub fn forget(&self, exists: impl Fn(&str) -> bool) {
        self.memory().retain(|uid, _| {
            let keep = exists(uid);
            if !keep {
                self.proven.forget(uid);
                self.asked.forget(uid);
            }
            keep
        });
        self.count_phases();
    }

    async fn report(&self, document: &ChatPlatform, outcome: Outcome<'_>) -> Result<(), Error> {
        self.still_leads()?;
        let uid = document.meta().uid.clone().unwrap_or_default();
        let remembered = self.memory().get(&uid).and_then(|memory| memory.status.clone());
        let before = remembered.or_else(|| document.status.clone());
        let status = report::status(document, before.as_ref(), outcome, Timestamp::now());
        report::report(&self.client, &self.recorder, document, before.as_ref(), &status).await?;
        self.memory().entry(uid).or_default().status = Some(status);
        self.count_phases();
        Ok(())
    }

    fn count_phases(&self) {
        let memory = self.memory();
        self.metrics.platforms(memory.values().filter_map(|memory| memory.status.as_ref()?.phase.as_deref()));
    }

    fn is_ready(&self, document: &ChatPlatform) -> bool {
        let mut memory = self.memory();
        let memory = memory.entry(document.meta().uid.clone().unwrap_or_default()).or_default();
        let ready = memory.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Ready"));
        if ready {
            memory.attempts = 0;
        }
        ready
    }

    fn retry(&self, uid: Option<&str>) -> Duration {
        let mut memory = self.memory();
        let attempts = &mut memory.entry(uid.unwrap_or_default().to_owned()).or_default().attempts;
        *attempts = attempts.saturating_add(1);
        // Quick at first, as servers elect and start within seconds.
        let doublings = (*attempts / 8).min(5);
        jittered((FIRST_RETRY * 2_u32.pow(doublings)).min(LAST_RETRY))
    }

    fn still_leads(&self) -> Result<(), Error> {
        if self.leadership.held() { Ok(()) } else { Err(Error::NotLeading) }
    }

    fn memory(&self) -> MutexGuard<'_, HashMap<String, Memory>> {
        // A map is whole after any panic elsewhere.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A duration, a tenth more or less, so that platforms do not come all at once.
fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(rand::rng().random_range(0.9..1.1))
}
