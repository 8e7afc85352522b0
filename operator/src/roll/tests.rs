#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::{Arc, Mutex};

use axum::http::{Request, Response, StatusCode};
use kube::client::Body;
use serde_json::{Value, json};

use super::*;
use crate::provisioner::{Member, Role};

/// Pods and members, from ordinal 0 on, written as `state`, with marks: `-` the pod is of an older form, `!` it is not ready, `*` its
/// image cannot be pulled, `x` it is being deleted, `~` the member is behind; `_` is a pod that is not there.
struct Cluster {
    set: StatefulSet,
    pods: Vec<Pod>,
    members: Vec<Member>,
}

impl Cluster {
    fn new(text: &str) -> Self {
        let words: Vec<&str> = text.split_whitespace().collect();
        let set = json!({
            "metadata": {"name": "acme-mongodb", "generation": 7},
            "spec": {"replicas": words.len(), "selector": {}, "template": {}},
            "status": {"replicas": words.len(), "observedGeneration": 7, "updateRevision": "acme-mongodb-new"},
        });
        let there = || words.iter().enumerate().filter(|(_, word)| **word != "_");
        Self {
            set: serde_json::from_value(set).unwrap(),
            pods: there().map(|(ordinal, word)| pod(ordinal, word)).collect(),
            members: there().map(|(ordinal, word)| member(ordinal, word)).collect(),
        }
    }

    fn next(&self) -> Step {
        next(&self.set, &self.pods.iter().collect::<Vec<_>>(), &self.members)
    }
}

fn pod(ordinal: usize, word: &str) -> Pod {
    let condition = |type_: &str, is: bool| json!({"type": type_, "status": if is { "True" } else { "False" }});
    let broken = word.contains('*');
    let state = if broken { json!({"waiting": {"reason": "ImagePullBackOff"}}) } else { json!({"running": {}}) };
    let ready = !broken && !word.contains('!');
    serde_json::from_value(json!({
        "metadata": {
            "name": format!("acme-mongodb-{ordinal}"),
            "uid": format!("u-{ordinal}"),
            "labels": {"controller-revision-hash": format!("acme-mongodb-{}", if word.contains('-') { "old" } else { "new" })},
            "deletionTimestamp": word.contains('x').then_some("2026-01-01T00:00:00Z"),
        },
        "status": {
            "conditions": [condition("PodScheduled", true), condition("Ready", ready)],
            "containerStatuses": [{"name": "mongod", "image": "i", "imageID": "", "ready": ready, "restartCount": 0, "state": state}],
        },
    }))
    .unwrap()
}

fn member(ordinal: usize, word: &str) -> Member {
    let role = match word.chars().next() {
        Some('P') => Role::Primary,
        Some('S') => Role::Secondary,
        _ => Role::Other,
    };
    Member { pod: format!("acme-mongodb-{ordinal}"), role, caught_up: role != Role::Other && !word.contains('~') }
}

fn next_of(text: &str) -> Step {
    Cluster::new(text).next()
}

fn delete_pod(ordinal: usize) -> Step {
    Step::Delete(format!("acme-mongodb-{ordinal}"))
}

fn step_down(ordinal: usize) -> Step {
    Step::StepDown(format!("acme-mongodb-{ordinal}"))
}

fn waits_for(step: &Step, ordinal: usize) -> bool {
    matches!(step, Step::Wait(reason) if reason.contains(&format!("acme-mongodb-{ordinal}")))
}

#[test]
fn nothing_is_restarted_when_every_pod_is_of_the_newest_form_whatever_ails_it() {
    for cluster in ["P", "P S S", "P S! O", "O* O* O*", "P S _"] {
        assert_eq!(next_of(cluster), Step::Nothing, "{cluster}");
    }
}

#[test]
fn a_member_that_is_alone_is_just_restarted() {
    for cluster in ["P-", "S-", "O-", "O-!", "O-*"] {
        assert_eq!(next_of(cluster), delete_pod(0), "{cluster}");
    }
    assert!(waits_for(&next_of("P-x"), 0));
}

#[test]
fn secondaries_come_first_the_last_of_them_first() {
    assert_eq!(next_of("P- S- S-"), delete_pod(2));
    assert_eq!(next_of("P- S- S"), delete_pod(1));
    assert_eq!(next_of("S- S- P-"), delete_pod(1));
    assert_eq!(next_of("S- S S P- S-"), delete_pod(4));
    assert_eq!(next_of("S- S S P- S"), delete_pod(0));
}

#[test]
fn the_primary_hands_over_and_then_comes_last() {
    assert_eq!(next_of("P- S S"), step_down(0));
    assert_eq!(next_of("S S P-"), step_down(2));
    assert_eq!(next_of("S S S P- S"), step_down(3));
    // It has handed over.
    assert_eq!(next_of("S- P S"), delete_pod(0));
}

#[test]
fn a_primary_is_left_alone_when_it_is_of_the_newest_form_already() {
    assert_eq!(next_of("P S- S-"), delete_pod(2));
    assert_eq!(next_of("P S S"), Step::Nothing);
}

#[test]
fn nobody_is_restarted_before_the_one_before_is_back_and_has_caught_up() {
    for back in ["S!", "O", "S~", "O!"] {
        let step = next_of(&format!("P- S- {back}"));
        assert!(waits_for(&step, 2), "{back}: {step:?}");
    }
    assert!(waits_for(&next_of("P- S- Sx"), 2));
    assert_eq!(next_of("P- S- _"), Step::Wait("acme-mongodb-2 to be made".to_owned()));
}

#[test]
fn a_bad_image_stops_after_the_first_member() {
    let step = next_of("P- S- O*");
    assert_eq!(step, Step::Wait("acme-mongodb-2 to be ready".to_owned()));
    assert_eq!(next_of("S- P- S- S- O*"), Step::Wait("acme-mongodb-4 to be ready".to_owned()));
}

#[test]
fn a_broken_pod_of_an_older_form_is_replaced_first() {
    // A bad image was corrected after it had stopped at the first member.
    assert_eq!(next_of("P- S- O-*"), delete_pod(2));
    // A set that has been made with a bad image has nothing but broken pods.
    assert_eq!(next_of("O-* O-* O-*"), delete_pod(0));
    assert_eq!(next_of("O O-* O-*"), delete_pod(1));
    // It is on its way.
    assert!(waits_for(&next_of("P- S- O-*x"), 2));
}

#[test]
fn a_member_that_is_not_well_goes_before_those_that_are() {
    for cluster in ["P- S-~ S-", "P- O- S-", "P- S-! S-"] {
        assert_eq!(next_of(cluster), delete_pod(1), "{cluster}");
    }
}

#[test]
fn nobody_is_restarted_while_two_are_not_well() {
    for cluster in ["P- S-~ S-~", "P- O- S-~ S- S-", "S- S- S-~ O P-"] {
        let step = next_of(cluster);
        assert!(matches!(step, Step::Wait(_)), "{cluster}: {step:?}");
    }
}

#[test]
fn nobody_is_restarted_during_an_election_or_before_the_set_has_been_asked() {
    // Without a primary nobody is known to have caught up.
    assert!(matches!(next_of("S-~ S-~ S-~"), Step::Wait(_)));
    let mut cluster = Cluster::new("P- S- S-");
    cluster.members.clear();
    assert!(matches!(cluster.next(), Step::Wait(_)));
}

#[test]
fn a_primary_that_is_behind_the_cluster_s_probes_hands_over_first() {
    assert_eq!(next_of("P-! S S"), step_down(0));
}

#[test]
fn members_that_have_just_joined_and_do_not_vote_yet_are_waited_for() {
    assert!(waits_for(&next_of("P- O O"), 1));
}

#[test]
fn a_pod_that_goes_because_the_set_shrinks_is_none_of_ours() {
    let mut cluster = Cluster::new("P- S- S- S-x S-x");
    cluster.set.spec.as_mut().unwrap().replicas = Some(3);
    assert_eq!(cluster.next(), delete_pod(2));
}

#[test]
fn nothing_is_decided_before_kubernetes_has_taken_note_of_the_change() {
    let mut cluster = Cluster::new("P- S- S-");
    cluster.set.metadata.generation = Some(8);
    assert!(matches!(cluster.next(), Step::Wait(_)));
    let pods: Vec<&Pod> = cluster.pods.iter().collect();
    assert!(is_due(&cluster.set, &pods));
    cluster.set.status = None;
    assert!(matches!(cluster.next(), Step::Wait(_)));
}

#[test]
fn a_roll_is_due_as_long_as_a_pod_is_of_an_older_form() {
    let due = |text| {
        let cluster = Cluster::new(text);
        is_due(&cluster.set, &cluster.pods.iter().collect::<Vec<_>>())
    };
    assert!(due("P S S-") && !due("P S S"));
}

/// Plays whole roll-outs: each step is taken, and the pod comes back ready and caught up.
#[test]
fn every_pod_is_replaced_once_and_all_others_are_well_whenever_one_is() {
    for members in [1_usize, 3, 5, 7] {
        for primary in 0..members {
            let word = |ordinal| if ordinal == primary { "P-" } else { "S-" };
            let mut words: Vec<String> = (0..members).map(|ordinal| word(ordinal).to_owned()).collect();
            let mut restarted = Vec::new();
            let mut hand_overs = 0;
            loop {
                match next_of(&words.join(" ")) {
                    Step::Nothing => break,
                    Step::Wait(reason) => panic!("{words:?} waits for {reason}"),
                    Step::StepDown(name) => {
                        let former = words.iter().position(|word| word.starts_with('P')).unwrap();
                        assert_eq!(name, format!("acme-mongodb-{former}"));
                        let other = (0..members).find(|ordinal| *ordinal != former).unwrap();
                        words[former] = words[former].replace('P', "S");
                        words[other] = words[other].replace('S', "P");
                        hand_overs += 1;
                    }
                    Step::Delete(name) => {
                        let ordinal = usize::try_from(crate::build::workload::ordinal(&name).unwrap()).unwrap();
                        assert!(members == 1 || words[ordinal].starts_with('S'), "{words:?}");
                        words[ordinal] = words[ordinal].replace('-', "");
                        restarted.push(ordinal);
                    }
                }
            }
            assert_eq!(hand_overs, usize::from(members > 1), "one election is enough");
            assert_eq!(restarted.last(), Some(&primary), "the primary comes last");
            restarted.sort_unstable();
            assert_eq!(restarted, (0..members).collect::<Vec<_>>());
        }
    }
}

type Asked = Arc<Mutex<Vec<(String, Value)>>>;

/// An API server that gives every request the same answer, and what it was asked.
fn server(status: StatusCode) -> (Api<Pod>, Asked) {
    let asked = Asked::default();
    let log = Arc::clone(&asked);
    let service = tower::service_fn(move |request: Request<Body>| {
        let log = Arc::clone(&log);
        async move {
            let line = format!("{} {}", request.method(), request.uri().path());
            let body = request.into_body().collect_bytes().await.unwrap();
            log.lock().unwrap().push((line, serde_json::from_slice(&body).unwrap()));
            let answer = if status.is_success() {
                json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "acme-mongodb-2"}})
            } else {
                let code = status.as_u16();
                json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": "R", "message": "no"})
            };
            Response::builder().status(status).body(Body::from(answer.to_string().into_bytes()))
        }
    });
    (Api::namespaced(Client::new(service, "team"), "team"), asked)
}

#[tokio::test]
async fn only_the_pod_that_was_seen_is_deleted() {
    let (api, asked) = server(StatusCode::OK);
    delete(&api, &pod(2, "S-")).await.unwrap();
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].0, "DELETE /api/v1/namespaces/team/pods/acme-mongodb-2");
    assert_eq!(asked[0].1["preconditions"]["uid"], "u-2");
}

#[tokio::test]
async fn a_pod_that_has_gone_or_is_another_by_now_is_no_error_and_a_refusal_is() {
    for gone in [StatusCode::NOT_FOUND, StatusCode::CONFLICT] {
        delete(&server(gone).0, &pod(2, "S-")).await.unwrap();
    }
    let error = delete(&server(StatusCode::FORBIDDEN).0, &pod(2, "S-")).await.unwrap_err();
    assert_eq!(error.category(), "RollFailed");
    assert!(error.to_string().starts_with("cannot delete pod acme-mongodb-2"), "{error}");
}
