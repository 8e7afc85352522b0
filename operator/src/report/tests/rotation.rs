use super::*;
use crate::secrets::rotation::{Decision, Lag, Step, StepName, Waiting};

/// A platform whose signing keys are at a step and wait for this.
fn waiting(step: StepName, waiting: Waiting) -> Cluster {
    let mut cluster = Cluster::ready();
    let rotation = &mut cluster.platform.rotation[0];
    rotation.state.step = Some(Step { name: step, key: "new".into(), since: EARLIER.parse().unwrap() });
    rotation.decision = Decision::Wait(waiting);
    cluster
}

fn lag(is_stuck: bool) -> Waiting {
    let words = "pod acme-media-1 does not accept the new generation yet".into();
    let lags = vec![Lag { words, is_overdue: true }];
    Waiting { lags, until: None, is_stuck }
}

#[test]
fn at_rest_each_kind_tells_of_its_generation_and_when_the_next_one_is_due() {
    let status = Cluster::ready().status(None, EARLIER);
    let names: Vec<&str> = status.secrets.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["signingKeys", "messageKeys", "credentials"]);
    for row in &status.secrets {
        assert_eq!((row.generation, row.state.as_str(), row.rotated_at.as_str()), (1, "Current", EARLIER));
        assert!(row.next_rotation.as_deref().is_some_and(|next| next > "2026-03-20T00:00:00Z"), "{row:?}");
        assert_eq!((&row.next_step, &row.message), (&None, &None));
    }
    assert_eq!(condition(&status, "SecretsCurrent").reason, "CertificatesCurrent");
}

#[test]
fn a_rotation_under_way_is_told_of_and_the_platform_stays_ready() {
    let status = waiting(StepName::Spread, lag(false)).status(None, LATER);
    let row = &status.secrets[0];
    assert_eq!((row.state.as_str(), &row.next_rotation), ("Spread", &None));
    assert_eq!(row.message.as_deref(), Some("pod acme-media-1 does not accept the new generation yet"));
    let current = condition(&status, "SecretsCurrent");
    assert_eq!((current.status.as_str(), current.reason.as_str()), ("True", "Rotating"));
    assert!(current.message.contains("signingKeys is at Spread"), "{}", current.message);
    assert!(is(&status, "Ready") && !is(&status, "Reconciling"));
}

#[test]
fn a_step_that_waits_for_time_alone_says_until_when() {
    let until = Some("2026-01-01T00:10:15Z".parse().unwrap());
    let cluster = waiting(StepName::Retire, Waiting { lags: vec![], until, is_stuck: false });
    let row = &cluster.status(None, LATER).secrets[0];
    assert_eq!(row.next_step.as_deref(), Some("2026-01-01T00:10:15Z"));
    assert_eq!(row.message.as_deref(), Some("waits until nothing made with the old generation is left"));
}

#[test]
fn a_rotation_that_is_stuck_names_the_pod_and_what_to_do_and_is_no_fault_of_the_platform() {
    let status = waiting(StepName::Spread, lag(true)).status(None, LATER);
    let current = condition(&status, "SecretsCurrent");
    assert_eq!((current.status.as_str(), current.reason.as_str()), ("False", "RotationStuck"));
    for part in ["signingKeys", "Spread", EARLIER, "pod acme-media-1", "a pod that is deleted comes back"] {
        assert!(current.message.contains(part), "{}", current.message);
    }
    assert!(is(&status, "Ready") && !is(&status, "Stalled"));
    let again = waiting(StepName::Spread, lag(true)).status(Some(&status), "2026-01-01T02:00:00Z");
    assert_eq!(again, status, "nothing is written while nothing changes");
}

#[test]
fn each_step_is_an_event_of_its_own() {
    use crate::secrets::rotation::Move;
    let mut cluster = Cluster::ready();
    let rotation = &mut cluster.platform.rotation[0];
    rotation.state.step = Some(Step { name: StepName::Spread, key: "new".into(), since: EARLIER.parse().unwrap() });
    let mut told = |step| {
        cluster.platform.rotation[0].decision = Decision::Move(step);
        let event = super::super::rotation::events(&cluster.platform).remove(0);
        (event.reason, event.action, event.note.unwrap())
    };
    let (reason, action, note) = told(Move::Add);
    assert_eq!((reason.as_str(), action.as_str()), ("Rotating", "Rotate-signingKeys-Add"));
    assert_eq!(note, "signingKeys: generation 2 is there; waits until every consumer accepts it");
    assert_eq!(told(Move::Done).0, "Rotated");
    assert_eq!(told(Move::Revoke).0, "Revoked");
    assert_eq!(crate::report::rotation::events(&Cluster::ready().platform).len(), 0);
}
