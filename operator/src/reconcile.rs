//! The pipeline.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::runtime::controller::Action;
use kube::runtime::events::{Recorder, Reporter};
use kube::{Client, Resource as _, ResourceExt as _};
use rand::RngExt as _;
use tracing::Instrument as _;

use crate::api::{ChatPlatform, ChatPlatformStatus};
use crate::asked::Asked;
use crate::build::{Applied, Component, HorizontalPodAutoscaler, Resources};
use crate::document::{Document, Unreadable};
use crate::lease::Leadership;
use crate::observe::Observed;
use crate::proven::{HOLDS_OF_OTHERS, Proven, Provisioned};
use crate::reason::Reason;
use crate::report::{Found, Outcome};
use crate::telemetry::{Metrics, Trace};
use crate::validate::{Hibernation, Platform};
use crate::{FIELD_MANAGER, apply, build, observe, report, roll, validate};

/// A whole look at a platform at rest, in case an event was lost or a server was changed by hand.
const RESYNC: Duration = Duration::from_mins(10);
/// The first and the longest wait before another look at a platform that is not ready. What the cluster tells of starts a run at any time.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_mins(5);
/// How many looks come after waits of the same length, before the next ones are twice as long.
const RETRIES_ALIKE: u32 = 8;

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
    /// The generation of the document of which everything has been made.
    applied: Option<i64>,
    /// Runs since it was last at rest.
    attempts: u32,
    /// The newest generation of its document that the watch has told of.
    generation: Option<i64>,
    /// When the next of its certificates is due.
    renew_at: Option<Timestamp>,
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
            Self::Observe(error) => Outcome::Failed { reason, message, is_final: error.is_final() },
            Self::Roll(_) | Self::Report(_) | Self::NotLeading => Outcome::Failed { reason, message, is_final: false },
        }
    }
}

/// Takes all six steps for one platform: observe, validate, build, apply, provision (and the replica set's restarts, which need its
/// word), report.
///
/// Answers what the servers said, and how long the platform may be left alone if it is at rest.
async fn pipeline(document: &ChatPlatform, context: &Context) -> Result<(Provisioned, Duration), Error> {
    let uid = document.meta().uid.as_deref().unwrap_or_default();
    let kinds = context.asked.of(uid, &document.spec);
    let mut observed = observe::observe(&context.client, document, &kinds).await?;
    context.asked.learn(uid, &document.spec, &observed);
    observed.operator_namespace.clone_from(&context.namespace);
    observed.mongodb_members = context.proven.mongodb_members(uid);
    observed.mongodb_serves = context.proven.mongodb_serves(uid);
    observed.accepted = context.proven.accepted(uid);
    let platform = validate::validate(document, &observed, &mut rand::rng(), Timestamp::now())?;
    let resources = build::build(&platform);
    context.still_leads()?;
    let settled = context.has_applied(document);
    // On the heap: it is the largest of the steps, and a run would take as much room in all of them.
    let apply = Box::pin(apply::apply(&context.client, &platform, resources, &observed, settled));
    let (applied, repairs) = apply.await?;
    // Until the addresses behind the edge are known, it is not there.
    if platform.upstreams.is_some() {
        context.applied(document);
    }
    report::repairs(&context.recorder, document, &repairs).await;
    context.still_leads()?;
    let (provisioned, roll) = if platform.hibernation == Hibernation::Awake {
        agree(document, context, &platform, &observed, &applied).await?
    } else {
        // Who is on the way out is asked for nothing.
        Default::default()
    };
    context.renews(document, platform.material.renew_at());
    let found = Found { platform: &platform, applied: &applied, observed: &observed, provisioned: &provisioned, roll };
    context.report(document, Outcome::Done(&found)).await?;
    report::changes(&context.recorder, document, &provisioned.changes()).await;
    report::rotations(&context.recorder, document, &platform).await;
    let rest = rest(document, &platform, &applied);
    Ok((provisioned, rest))
}

/// What the servers say once they agree, and what comes of members that are to restart.
async fn agree(
    document: &ChatPlatform,
    context: &Context,
    platform: &Platform,
    observed: &Observed,
    applied: &Resources<Applied>,
) -> Result<(Provisioned, Option<String>), Error> {
    if roll::is_under_way(platform, observed, applied) {
        // Who can be spared now is asked of the set itself, and not remembered.
        context.proven.doubt(platform, Component::MongoDb);
    }
    let provisioned = context.proven.provision(platform, observed, context.is_at_rest(document)).await;
    context.still_leads()?;
    let roll = roll::roll(&context.client, &context.proven, platform, observed, applied, &provisioned).await?;
    Ok((provisioned, roll))
}

/// One look at one platform. Every line that is logged meanwhile carries the id by which the run is found from its duration.
pub async fn reconcile(object: Arc<Document>, context: Arc<Context>) -> Result<Action, Error> {
    let trace = Trace::new();
    // As an error, so that it is there with errors even where nothing less is logged.
    let run = tracing::error_span!(
        "run",
        trace_id = trace.as_str(),
        span_id = trace.span_id(),
        error = tracing::field::Empty,
        platform = object.name_any(),
        namespace = object.namespace(),
    );
    async {
        let outcome = look(object, context, trace).await;
        if let Err(error) = &outcome {
            tracing::Span::current().record("error", error.category().as_str());
            tracing::warn!(error = %error, category = error.category().as_str(), "reconcile failed");
        }
        outcome
    }
    .instrument(run)
    .await
}

async fn look(object: Arc<Document>, context: Arc<Context>, trace: Trace) -> Result<Action, Error> {
    context.still_leads()?;
    // Everything it owns goes with it; there is nothing left to make. It may be paused, or past reading: the cluster removes it all the same.
    if object.meta().deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let document = match &*object {
        Document::Readable(document) => document,
        Document::Unreadable(what) => return unreadable(what, &context).await,
    };
    if document.spec.paused {
        context.report(document, Outcome::Paused).await?;
        return Ok(Action::await_change());
    }
    let started = Instant::now();
    let outcome = pipeline(document, &context).await;
    let failure = match &outcome {
        Ok((provisioned, _)) => provisioned.refusals().next().map(|refusal| refusal.category),
        Err(error) => Some(error.category()),
    };
    context.metrics.reconciled(started.elapsed(), failure.map(Reason::as_str), trace);
    if let Err(error) = &outcome
        && !matches!(error, Error::NotLeading | Error::Report(_))
    {
        context.report(document, error.outcome(&error.to_string())).await?;
    }
    if let Err(Error::Report(error)) = &outcome {
        report::untold(&context.recorder, document, error).await;
    }
    match outcome {
        Ok((_, rest)) if context.is_at_rest(document) => Ok(Action::requeue(jittered(rest))),
        Ok(_) => Ok(Action::requeue(context.retry(document.meta().uid.as_deref()))),
        // A change of the document, or of a Secret it names, is an event of its own.
        Err(Error::Validate(error @ validate::Error::Spec(_))) => {
            tracing::warn!(error = %error, "the document cannot be carried out");
            Ok(Action::await_change())
        }
        Err(error) => Err(error),
    }
}

/// How long a platform at rest is left alone. The cluster tells nothing of a server that somebody else runs, and the operator does not
/// listen to what an autoscaler sees, nor to what keeps the pods that it adds from running.
fn rest(document: &ChatPlatform, platform: &Platform, applied: &Resources<Applied>) -> Duration {
    let all_scale = applied.autoscalers.iter().all(HorizontalPodAutoscaler::is_active);
    let all_run = applied.deployments.iter().all(|deployment| {
        let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or_default();
        deployment.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or_default() >= wanted
    });
    let rest = if document.spec.has_externals() || !all_scale || !all_run { HOLDS_OF_OTHERS } else { RESYNC };
    // What a rotation waits for is told by no watch.
    let now = Timestamp::now();
    let rotations = platform.rotation.iter().filter_map(|rotation| rotation.look_again(now)?.try_into().ok());
    rotations.fold(rest, Duration::min)
}

/// When to try again after an error.
#[expect(clippy::needless_pass_by_value, reason = "the controller calls it so")]
pub fn error_policy(object: Arc<Document>, _error: &Error, context: Arc<Context>) -> Action {
    Action::requeue(context.retry(object.meta().uid.as_deref()))
}

/// A document stored under another definition, which the types of this operator cannot hold.
async fn unreadable(what: &Unreadable, context: &Context) -> Result<Action, Error> {
    let mut document =
        ChatPlatform::new(what.metadata.name.as_deref().unwrap_or_default(), crate::api::ChatPlatformSpec::default());
    document.metadata = what.metadata.clone();
    let message = format!("the document cannot be read: {}", what.error);
    context.report(&document, Outcome::Unreadable { message: &message }).await?;
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
        self.count();
    }

    /// The watch has told of a document that is new or has changed.
    pub fn saw(&self, document: &Document) {
        let (Some(uid), None) = (&document.meta().uid, &document.meta().deletion_timestamp) else { return };
        let mut memory = self.memory();
        memory.entry(uid.clone()).or_default().generation = document.meta().generation;
        self.metrics.waiting(waiting(&memory));
    }

    fn renews(&self, document: &ChatPlatform, at: Timestamp) {
        self.memory().entry(document.meta().uid.clone().unwrap_or_default()).or_default().renew_at = Some(at);
    }

    async fn report(&self, document: &ChatPlatform, outcome: Outcome<'_>) -> Result<(), Error> {
        self.still_leads()?;
        let uid = document.meta().uid.clone().unwrap_or_default();
        let remembered = self.memory().get(&uid).and_then(|memory| memory.status.clone());
        let before = remembered.or_else(|| document.status.clone());
        let status = report::status(document, before.as_ref(), outcome, Timestamp::now());
        report::report(&self.client, &self.recorder, document, before.as_ref(), &status).await?;
        self.memory().entry(uid).or_default().status = Some(status);
        self.count();
        Ok(())
    }

    fn count(&self) {
        let memory = self.memory();
        self.metrics.platforms(memory.values().filter_map(|memory| memory.status.as_ref()?.phase.as_deref()));
        self.metrics.waiting(waiting(&memory));
        let statuses = memory.values().filter_map(|memory| memory.status.as_ref());
        self.metrics.backups_failing(statuses.filter(|status| report::backups_fail(status)).count());
        self.metrics.next_renewal(memory.values().filter_map(|memory| memory.renew_at).min());
    }

    /// Whether this process has made everything of this generation of the document before, so that what is missing was taken away.
    fn has_applied(&self, document: &ChatPlatform) -> bool {
        let uid = document.meta().uid.as_deref().unwrap_or_default();
        let applied = self.memory().get(uid).and_then(|memory| memory.applied);
        applied.is_some() && applied == document.meta().generation
    }

    fn applied(&self, document: &ChatPlatform) {
        let uid = document.meta().uid.clone().unwrap_or_default();
        self.memory().entry(uid).or_default().applied = document.meta().generation;
    }

    /// Whether nothing is left to do: it is ready, or sleeps.
    fn is_at_rest(&self, document: &ChatPlatform) -> bool {
        let mut memory = self.memory();
        let memory = memory.entry(document.meta().uid.clone().unwrap_or_default()).or_default();
        let phase = memory.status.as_ref().and_then(|status| status.phase.as_deref());
        let rests = matches!(phase, Some("Ready" | "Hibernated"));
        if rests {
            memory.attempts = 0;
        }
        rests
    }

    fn retry(&self, uid: Option<&str>) -> Duration {
        let mut memory = self.memory();
        let attempts = &mut memory.entry(uid.unwrap_or_default().to_owned()).or_default().attempts;
        *attempts = attempts.saturating_add(1);
        jittered(wait(*attempts))
    }

    fn still_leads(&self) -> Result<(), Error> {
        if self.leadership.held() { Ok(()) } else { Err(Error::NotLeading) }
    }

    fn memory(&self) -> MutexGuard<'_, HashMap<String, Memory>> {
        // A map is whole after any panic elsewhere.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    /// Whether the document that is there now has not been told of in the status yet.
    fn waits(&self) -> bool {
        let told = self.status.as_ref().and_then(|status| status.observed_generation);
        self.generation.is_some_and(|generation| told.is_none_or(|told| told < generation))
    }
}

fn waiting(memory: &HashMap<String, Memory>) -> usize {
    memory.values().filter(|memory| memory.waits()).count()
}

/// The wait after so many looks in vain. Quick at first, as servers elect and start within seconds; and seldom in the end, so that many
/// platforms that wait for somebody cost little.
fn wait(attempts: u32) -> Duration {
    FIRST_RETRY.saturating_mul(2_u32.saturating_pow(attempts / RETRIES_ALIKE)).min(LAST_RETRY)
}

/// A duration, a tenth more or less, so that platforms do not come all at once.
fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(rand::rng().random_range(0.9..1.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_that_does_not_become_ready_is_looked_at_ever_more_seldom() {
        assert!((1..8).all(|attempts| wait(attempts) == Duration::from_secs(1)));
        assert_eq!(wait(40), Duration::from_secs(32));
        let sixty_four_looks: Duration = (1..=64).map(wait).sum();
        assert!(sixty_four_looks < Duration::from_mins(40), "{sixty_four_looks:?}");
        assert_eq!([wait(80), wait(u32::MAX)], [LAST_RETRY; 2]);
    }

    #[test]
    fn a_document_waits_until_the_status_speaks_of_its_newest_generation() {
        let told = |generation| Some(ChatPlatformStatus { observed_generation: generation, ..Default::default() });
        let waits = |generation, status| Memory { status, generation, ..Memory::default() }.waits();
        assert!(waits(Some(1), None));
        assert!(waits(Some(2), told(Some(1))));
        assert!(!waits(Some(2), told(Some(2))));
        assert!(!waits(None, told(Some(2))));
    }
}
