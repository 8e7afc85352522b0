//! The conditions: `Ready`, `Reconciling` and `Stalled` as kstatus defines them
//! (<https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md>), and one for each part.

use jiff::Timestamp;

use super::{Found, Outcome, entrance, trouble};
use crate::api::{ChatPlatformStatus, ComponentStatus, Condition};
use crate::build::Component;
use crate::proven::Standing;
use crate::reason::Reason;

/// The types of all conditions, in the order in which people read them.
pub const CONDITIONS: [&str; 11] = [
    "Ready",
    "Reconciling",
    "Stalled",
    "SpecValid",
    PARTS[0].0,
    PARTS[1].0,
    PARTS[2].0,
    PARTS[3].0,
    PARTS[4].0,
    PARTS[5].0,
    "Paused",
];

/// Conditions of parts, and the components that make up each.
const PARTS: [(&str, &[Component]); 6] = [
    ("MongoDBReady", &[Component::MongoDb]),
    ("RedisReady", &[Component::Redis]),
    ("RabbitMQReady", &[Component::RabbitMq]),
    ("ObjectStorageReady", &[Component::ObjectStorage]),
    (
        "ServicesReady",
        &[
            Component::Gateway,
            Component::Auth,
            Component::Chat,
            Component::Media,
            Component::Notification,
            Component::Web,
        ],
    ),
    ("EdgeReady", &[Component::Edge]),
];

/// A condition without its times.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verdict {
    type_: &'static str,
    status: bool,
    reason: String,
    message: String,
}

impl Verdict {
    fn new(type_: &'static str, status: bool, reason: Reason, message: impl Into<String>) -> Self {
        Self { type_, status, reason: reason.to_string(), message: message.into() }
    }

    /// The condition: its time is the earlier one's as long as the status is.
    pub(super) fn into_condition(self, before: &[Condition], generation: Option<i64>, now: Timestamp) -> Condition {
        let status = word(self.status);
        let same = before.iter().find(|condition| condition.type_ == self.type_ && condition.status == status);
        Condition {
            type_: self.type_.to_owned(),
            status: status.to_owned(),
            reason: self.reason,
            message: self.message,
            last_transition_time: same.map_or_else(|| seconds(now), |condition| condition.last_transition_time.clone()),
            observed_generation: generation,
        }
    }
}

/// All conditions, in the order in which people read them.
pub(super) fn verdicts(outcome: Outcome<'_>, rows: &[ComponentStatus], before: &[Condition]) -> Vec<Verdict> {
    let parts: Vec<Verdict> = match outcome {
        Outcome::Done(found) => PARTS.into_iter().map(|(type_, parts)| part(found, rows, type_, parts)).collect(),
        // What runs was not touched, and not looked at either.
        _ => PARTS.into_iter().filter_map(|(type_, _)| kept(before, type_)).collect(),
    };
    let mut verdicts = match outcome {
        Outcome::Paused => vec![
            kept(before, "Ready")
                .unwrap_or_else(|| Verdict::new("Ready", false, Reason::Paused, "paused before it was ready")),
            Verdict::new("Reconciling", false, Reason::Paused, "spec.paused is true: changes wait"),
            Verdict::new("Stalled", false, Reason::Paused, "spec.paused is true"),
        ],
        Outcome::Invalid { reason, message } => vec![
            Verdict::new("Ready", false, reason, message),
            Verdict::new("Reconciling", false, reason, "waits for a correction; what runs was not touched"),
            Verdict::new("Stalled", true, reason, message),
        ],
        Outcome::Failed { reason, message, is_final } => vec![
            Verdict::new("Ready", false, reason, message),
            Verdict::new(
                "Reconciling",
                !is_final,
                reason,
                if is_final { "waits for a correction" } else { "tries again" },
            ),
            Verdict::new("Stalled", is_final, reason, if is_final { message } else { "it is tried again" }),
        ],
        Outcome::Done(found) => done(found, &parts),
    };
    verdicts.push(match outcome {
        Outcome::Invalid { reason, message } => Verdict::new("SpecValid", false, reason, message),
        Outcome::Paused => kept(before, "SpecValid")
            .unwrap_or_else(|| Verdict::new("SpecValid", true, Reason::Unchecked, "not checked while paused")),
        Outcome::Failed { .. } | Outcome::Done(_) => {
            Verdict::new("SpecValid", true, Reason::Accepted, "spec can be carried out")
        }
    });
    verdicts.extend(parts);
    verdicts.push(match outcome {
        Outcome::Paused => {
            Verdict::new("Paused", true, Reason::Paused, "spec.paused is true: set it to false to go on")
        }
        _ => Verdict::new("Paused", false, Reason::NotPaused, "spec.paused is false"),
    });
    verdicts
}

fn done(found: &Found<'_>, parts: &[Verdict]) -> Vec<Verdict> {
    let waiting: Vec<&Verdict> = parts.iter().filter(|part| !part.status).collect();
    let Some(first) = waiting.first() else {
        return vec![
            Verdict::new("Ready", true, Reason::AllReady, format!("serves https://{}", found.platform.host)),
            Verdict::new("Reconciling", false, Reason::Reconciled, "everything is as the spec says"),
            Verdict::new("Stalled", false, Reason::Reconciled, "nothing is in the way"),
        ];
    };
    let message = waiting.iter().map(|part| part.message.as_str()).collect::<Vec<_>>().join("; ");
    let stalled = stalled(found);
    vec![
        Verdict { type_: "Ready", status: false, reason: first.reason.clone(), message: message.clone() },
        match &stalled {
            Some((reason, _)) => Verdict::new("Reconciling", false, *reason, "waits for a correction"),
            None => Verdict::new("Reconciling", true, Reason::Progressing, message),
        },
        match stalled {
            Some((reason, message)) => Verdict::new("Stalled", true, reason, message),
            None => Verdict::new("Stalled", false, Reason::Progressing, "nothing is in the way"),
        },
    ]
}

/// What will not pass by itself.
fn stalled(found: &Found<'_>) -> Option<(Reason, String)> {
    let mut pods = found.observed.pods.iter().filter_map(trouble::of);
    if let Some(lasting) = pods.find_map(|trouble| Some((trouble.lasting()?, trouble.message))) {
        return Some(lasting);
    }
    let refusal = found.provisioned.refusals().find(|refusal| refusal.is_final)?;
    Some((refusal.category, refusal.message.clone()))
}

fn part(found: &Found<'_>, rows: &[ComponentStatus], type_: &'static str, components: &[Component]) -> Verdict {
    let of = |component: Component| rows.iter().find(move |row| row.name == component.name());
    let waiting: Vec<(Component, &ComponentStatus)> = components
        .iter()
        .filter_map(|component| Some((*component, of(*component)?)))
        .filter(|(_, row)| !row.is_ready())
        .collect();
    if let Some((component, row)) = waiting.first() {
        let messages = waiting
            .iter()
            .map(|(component, row)| format!("{}: {}", component.name(), row.message.as_deref().unwrap_or("not ready")));
        return Verdict::new(type_, false, reason(found, *component, row), messages.collect::<Vec<_>>().join("; "));
    }
    let said = components.iter().find_map(|component| match found.provisioned.of(*component) {
        Some(Standing::Agrees(agreement)) => Some(agreement.message.clone()),
        _ => None,
    });
    let ready: i32 = components.iter().filter_map(|component| of(*component)).map(|row| row.ready).sum();
    Verdict::new(
        type_,
        true,
        Reason::Ready,
        said.filter(|said| !said.is_empty()).unwrap_or_else(|| format!("{ready} pods ready")),
    )
}

fn reason(found: &Found<'_>, component: Component, row: &ComponentStatus) -> Reason {
    if row.ready < row.desired {
        return Reason::PodsNotReady;
    }
    match found.provisioned.of(component) {
        Some(Standing::Disagrees(refusal)) => refusal.category,
        Some(Standing::Agrees(agreement)) if !agreement.ready => Reason::NotReady,
        Some(Standing::Waiting) => Reason::PodsNotReady,
        None if component == Component::Edge => {
            entrance::trouble(found).map_or(Reason::RollingOut, |(reason, _)| reason)
        }
        _ => Reason::RollingOut,
    }
}

fn kept(before: &[Condition], type_: &'static str) -> Option<Verdict> {
    let condition = before.iter().find(|condition| condition.type_ == type_)?;
    // As it was written, perhaps by a release that had other words.
    let (reason, message) = (condition.reason.clone(), condition.message.clone());
    Some(Verdict { type_, status: condition.status == "True", reason, message })
}

/// The state in a word.
pub(super) fn phase(
    outcome: Outcome<'_>,
    verdicts: &[Verdict],
    before: &ChatPlatformStatus,
    generation: Option<i64>,
) -> &'static str {
    match outcome {
        Outcome::Paused => "Paused",
        Outcome::Invalid { .. } => "Invalid",
        _ if is_true(verdicts, "Ready") => "Ready",
        _ if is_true(verdicts, "Stalled") => "Failed",
        // It has been ready with this very spec, so this is no progress towards it.
        _ if before.observed_generation == generation
            && matches!(before.phase.as_deref(), Some("Ready" | "Degraded")) =>
        {
            "Degraded"
        }
        _ => "Progressing",
    }
}

/// Whether a condition is among the verdicts, and true.
pub(super) fn is_true(verdicts: &[Verdict], type_: &str) -> bool {
    verdicts.iter().any(|verdict| verdict.type_ == type_ && verdict.status)
}

/// Whether a condition says that all is well.
pub(super) fn is_good(condition: &Condition) -> bool {
    let good = match condition.type_.as_str() {
        "Stalled" => "False",
        // Neither its beginning nor its end is a bad sign.
        "Reconciling" | "Paused" => return true,
        _ => "True",
    };
    condition.status == good
}

/// Whether a condition that was not there before is worth an event: a fault is, and so is what is ready at once.
pub(super) fn is_news(condition: &Condition) -> bool {
    match condition.type_.as_str() {
        "SpecValid" => condition.status == "False",
        "Reconciling" => false,
        _ => condition.status == "True",
    }
}

fn word(status: bool) -> &'static str {
    if status { "True" } else { "False" }
}

/// RFC 3339 in UTC and whole seconds, as Kubernetes writes times.
fn seconds(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
