//! The conditions: `Ready`, `Reconciling` and `Stalled` as kstatus defines them
//! (<https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md>), and one for each part.

use jiff::Timestamp;

use super::components::Row;
use super::trouble::Trouble;
use super::{Found, Outcome, backup, certificate, components, entrance, rotation, upgrade};
use crate::api::{BackupStatus, ChatPlatformStatus, ComponentStatus, Condition};
use crate::build::Component;
use crate::proven::Standing;
use crate::reason::Reason;
use crate::validate::Hibernation;

/// The types of all conditions, in the order in which people read them.
pub const CONDITIONS: [&str; 13] = [
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
    "SecretsCurrent",
    backup::CONDITION,
    "Paused",
];

/// The status of a condition that says nothing, either way.
pub(super) const UNKNOWN: &str = "Unknown";

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
    /// None is unknown.
    status: Option<bool>,
    reason: String,
    message: String,
}

impl Verdict {
    fn new(type_: &'static str, status: bool, reason: Reason, message: impl Into<String>) -> Self {
        Self { type_, status: Some(status), reason: reason.to_string(), message: message.into() }
    }

    fn unknown(type_: &'static str, reason: Reason, message: impl Into<String>) -> Self {
        Self { status: None, ..Self::new(type_, false, reason, message) }
    }

    fn is_true(&self) -> bool {
        self.status == Some(true)
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
pub(super) fn verdicts(
    outcome: Outcome<'_>,
    rows: &[Row],
    backup: Option<&BackupStatus>,
    before: &[Condition],
    now: Timestamp,
) -> Vec<Verdict> {
    let parts: Vec<Verdict> = match outcome {
        Outcome::Done(found) if found.platform.hibernation != Hibernation::Awake => {
            let asleep =
                |type_| Verdict::unknown(type_, Reason::Hibernated, "spec.hibernated is true: it need not run");
            PARTS.into_iter().map(|(type_, _)| asleep(type_)).collect()
        }
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
        Outcome::Invalid { reason, message } => invalid(reason, message),
        Outcome::Unreadable { message } => invalid(Reason::InvalidSpec, message),
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
        Outcome::Unreadable { message } => Verdict::new("SpecValid", false, Reason::InvalidSpec, message),
        Outcome::Paused => kept(before, "SpecValid")
            .unwrap_or_else(|| Verdict::new("SpecValid", true, Reason::Unchecked, "not checked while paused")),
        Outcome::Failed { .. } | Outcome::Done(_) => {
            Verdict::new("SpecValid", true, Reason::Accepted, "spec can be carried out")
        }
    });
    verdicts.extend(parts);
    verdicts.extend(match outcome {
        Outcome::Done(found) => {
            let certificates = certificate::verdict(found.platform, now);
            // What is wrong comes before what is under way.
            let (current, reason, message) = match rotation::verdict(found.platform) {
                Some(rotations) if certificates.0 => rotations,
                _ => certificates,
            };
            Some(Verdict::new("SecretsCurrent", current, reason, message))
        }
        _ => kept(before, "SecretsCurrent"),
    });
    verdicts.extend(match outcome {
        Outcome::Done(found) => backup.map(|status| {
            let (current, reason, message) = backup::verdict(found, status);
            Verdict { status: current, ..Verdict::new(backup::CONDITION, false, reason, message) }
        }),
        _ => kept(before, backup::CONDITION),
    });
    verdicts.push(match outcome {
        Outcome::Unreadable { .. } => Verdict::unknown("Paused", Reason::InvalidSpec, "the document cannot be read"),
        Outcome::Paused => {
            Verdict::new("Paused", true, Reason::Paused, "spec.paused is true: set it to false to go on")
        }
        _ => Verdict::new("Paused", false, Reason::NotPaused, "spec.paused is false"),
    });
    verdicts
}

fn invalid(reason: Reason, message: &str) -> Vec<Verdict> {
    vec![
        Verdict::new("Ready", false, reason, message),
        Verdict::new("Reconciling", false, reason, "waits for a correction; what runs was not touched"),
        Verdict::new("Stalled", true, reason, message),
    ]
}

/// Neither ready nor in need of anything: it is as its owner wants it, once nothing runs any more.
fn hibernated(found: &Found<'_>) -> Vec<Verdict> {
    if is_asleep(found) {
        let message =
            "spec.hibernated is true: nothing runs and the data is kept; set it to false to bring everything back";
        return vec![
            Verdict::new("Ready", false, Reason::Hibernated, message),
            Verdict::new("Reconciling", false, Reason::Hibernated, "nothing runs, as the spec says"),
            Verdict::new("Stalled", false, Reason::Hibernated, "nothing is in the way"),
        ];
    }
    let order = match found.platform.hibernation {
        Hibernation::Closing => ", the edge and the services first",
        _ => "",
    };
    let message = format!("spec.hibernated is true: {} pods are to stop{order}", found.observed.pods.len());
    vec![
        Verdict::new("Ready", false, Reason::Hibernating, message.as_str()),
        Verdict::new("Reconciling", true, Reason::Hibernating, message),
        Verdict::new("Stalled", false, Reason::Hibernating, "nothing is in the way"),
    ]
}

/// Whether a platform that shall sleep does.
fn is_asleep(found: &Found<'_>) -> bool {
    found.platform.hibernation == Hibernation::Asleep && found.observed.pods.is_empty()
}

fn done(found: &Found<'_>, parts: &[Verdict]) -> Vec<Verdict> {
    if found.platform.hibernation != Hibernation::Awake {
        return hibernated(found);
    }
    let waiting: Vec<&Verdict> = parts.iter().filter(|part| !part.is_true()).collect();
    if let Some(progress) = upgrade::progress(found) {
        return upgrading(found, &waiting, progress);
    }
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
        Verdict { type_: "Ready", status: Some(false), reason: first.reason.clone(), message: message.clone() },
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

/// On the way to another release nothing is ready as the document says, though people chat all the while.
fn upgrading(found: &Found<'_>, waiting: &[&Verdict], progress: String) -> Vec<Verdict> {
    if let Some((reason, message)) = upgrade::stopped(found).or_else(|| stalled(found)) {
        return vec![
            Verdict::new("Ready", false, reason, message.as_str()),
            Verdict::new("Reconciling", false, reason, "waits for a correction"),
            Verdict::new("Stalled", true, reason, message),
        ];
    }
    let ailing = upgrade::ailing(found).iter().map(String::as_str);
    let parts = waiting.iter().map(|part| part.message.as_str());
    let message = std::iter::once(progress.as_str()).chain(ailing).chain(parts).collect::<Vec<_>>().join("; ");
    vec![
        Verdict::new("Ready", false, Reason::Upgrading, message),
        // Of the step alone, so that each is told of once.
        Verdict::new("Reconciling", true, Reason::Upgrading, progress),
        Verdict::new("Stalled", false, Reason::Upgrading, "nothing is in the way"),
    ]
}

/// What will not pass by itself.
fn stalled(found: &Found<'_>) -> Option<(Reason, String)> {
    let mut troubles = Component::ALL.into_iter().filter_map(|component| components::trouble(found, component));
    if let Some(trouble) = troubles.find(Trouble::lasts) {
        return Some((trouble.reason, trouble.message));
    }
    let refusal = found.provisioned.refusals().find(|refusal| refusal.is_final)?;
    Some((refusal.category, refusal.message.clone()))
}

fn part(found: &Found<'_>, rows: &[Row], type_: &'static str, components: &[Component]) -> Verdict {
    let of = |component: Component| rows.iter().find(move |row| row.status.name == component.name());
    let waiting: Vec<(Component, &ComponentStatus)> = components
        .iter()
        .filter_map(|component| Some((*component, of(*component)?)))
        .filter(|(_, row)| !row.is_ready)
        .map(|(component, row)| (component, &row.status))
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
    let ready: i32 = components.iter().filter_map(|component| of(*component)).map(|row| row.status.ready).sum();
    Verdict::new(
        type_,
        true,
        Reason::Ready,
        said.filter(|said| !said.is_empty()).unwrap_or_else(|| format!("{ready} pods ready")),
    )
}

fn reason(found: &Found<'_>, component: Component, row: &ComponentStatus) -> Reason {
    if row.ready < row.desired {
        return components::trouble(found, component).map_or(Reason::PodsNotReady, |trouble| trouble.reason);
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
    let status = match condition.status.as_str() {
        "True" => Some(true),
        UNKNOWN => None,
        _ => Some(false),
    };
    Some(Verdict { type_, status, reason, message })
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
        Outcome::Invalid { .. } | Outcome::Unreadable { .. } => "Invalid",
        Outcome::Done(found) if is_asleep(found) => "Hibernated",
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
    verdicts.iter().any(|verdict| verdict.type_ == type_ && verdict.is_true())
}

/// Whether a condition says that all is well.
pub(super) fn is_good(condition: &Condition) -> bool {
    let good = match condition.type_.as_str() {
        "Stalled" => "False",
        // Neither its beginning nor its end is a bad sign.
        "Reconciling" | "Paused" => return true,
        // As its owner wants it.
        "Ready"
            if [Reason::Hibernating, Reason::Hibernated, Reason::Upgrading]
                .iter()
                .any(|reason| *reason == condition.reason.as_str()) =>
        {
            return true;
        }
        _ => "True",
    };
    condition.status == good
}

/// Whether a condition that was not there before is worth an event: a fault is, and so is what is ready at once.
pub(super) fn is_news(condition: &Condition) -> bool {
    match condition.type_.as_str() {
        "SpecValid" | "SecretsCurrent" => condition.status == "False",
        "Reconciling" => false,
        // After the first one, whichever way it went.
        backup::CONDITION => true,
        _ => condition.status == "True",
    }
}

fn word(status: Option<bool>) -> &'static str {
    match status {
        Some(true) => "True",
        Some(false) => "False",
        None => UNKNOWN,
    }
}

/// RFC 3339 in UTC and whole seconds, as Kubernetes writes times.
fn seconds(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
