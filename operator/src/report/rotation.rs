//! How far rotations are, in the status, in a condition and in events.

use jiff::Timestamp;
use kube::runtime::events::{Event, EventType};

use super::short;
use crate::api::SecretStatus;
use crate::reason::Reason;
use crate::secrets::rotation::{Decision, Move, Progress, Waiting};
use crate::validate::Platform;

/// A row for each kind of secret that rotates.
pub(super) fn rows(platform: &Platform) -> Vec<SecretStatus> {
    platform.rotation.iter().map(row).collect()
}

fn row(progress: &Progress) -> SecretStatus {
    let state = &progress.state;
    let next_step = match &progress.decision {
        Decision::Wait(Waiting { until: Some(until), .. }) => Some(until),
        _ => None,
    };
    SecretStatus {
        name: progress.kind.field().to_owned(),
        generation: state.generation,
        state: state.word().to_owned(),
        rotated_at: text(state.rotated_at),
        next_rotation: state.step.is_none().then(|| text(progress.due)),
        next_step: next_step.map(|until| text(*until)),
        message: progress.message(),
    }
}

/// What is to say of rotations in the condition `SecretsCurrent`; none while none is under way.
pub(super) fn verdict(platform: &Platform) -> Option<(bool, Reason, String)> {
    if let Some(trouble) = platform.rotation.iter().find_map(Progress::trouble) {
        return Some((false, Reason::RotationStuck, trouble));
    }
    let under_way = platform.rotation.iter().filter(|rotation| rotation.state.step.is_some());
    let words: Vec<String> =
        under_way.map(|rotation| format!("{} is at {}", rotation.kind.field(), rotation.state.word())).collect();
    let message = || format!("the rotation of {}; status.secrets tells what it waits for", words.join(" and that of "));
    (!words.is_empty()).then(|| (true, Reason::Rotating, message()))
}

/// The steps that were taken in this run.
pub(super) fn events(platform: &Platform) -> Vec<Event> {
    let told = platform.rotation.iter().filter_map(|progress| {
        let step = progress.step_taken()?;
        let reason = match step {
            Move::Revoke => Reason::Revoked,
            Move::Done => Reason::Rotated,
            _ => Reason::Rotating,
        };
        Some(Event {
            type_: EventType::Normal,
            reason: reason.to_string(),
            note: Some(short(&progress.news()?)),
            // Each step is told of by itself.
            action: format!("Rotate-{}-{step:?}", progress.kind.field()),
            secondary: None,
        })
    });
    told.collect()
}

/// RFC 3339 in UTC and whole seconds, as Kubernetes writes times.
fn text(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
