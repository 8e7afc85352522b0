//! Several chat pods: people on one and on the other are in one conversation.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::Stage;
use super::faults::{kill, name_of, pods_of};
use super::gateway::{metrics, wait_until_known};
use super::people::{Person, two_in_conversation};
use super::recovery::{Talk, catch_up};
use super::socket::Socket;
use super::wait::until;

/// Until pods that were too many are gone.
const LIMIT: Duration = Duration::from_secs(90);
/// Until sockets of a pod that is no more are back.
const BACK_WITHIN: Duration = Duration::from_secs(90);

pub(super) fn kubectl_scale_makes_two_chat_pods_whose_people_see_one_another_live_and_one_pod_again(
    stage: &Stage,
) -> Result<()> {
    let name = format!("chatplatform/{}", stage.platform);
    let Err(refusal) = stage.kubectl(["scale", &name, "--replicas=21"]) else { bail!("21 chat pods were accepted") };
    ensure!(format!("{refusal:#}").contains("spec.chat.replicas"), "the refusal does not name the field: {refusal:#}");
    with_two_chat_pods(stage, |sockets, talk| {
        // Whoever has left goes to the pod that stays; who is there already notices nothing of it.
        let before = connections(sockets)?;
        scaled(stage, 1)?;
        for socket in &mut *sockets {
            talk.say_more(socket)?;
        }
        until("who was on the pod that went has come back", BACK_WITHIN, || {
            let moved = connections(sockets)?.iter().zip(&before).filter(|(now, before)| now > before).count();
            ensure!((1..sockets.len()).contains(&moved), "{moved} of {} sockets moved", sockets.len());
            Ok(())
        })
    })
}

pub(super) fn who_was_on_a_chat_pod_that_died_goes_on_with_the_other_and_misses_nothing(stage: &Stage) -> Result<()> {
    with_two_chat_pods(stage, |sockets, talk| {
        let before = connections(sockets)?;
        let pods = chat_pods(stage)?;
        let victim = pods.first().context("there is no chat pod")?;
        kill(stage, victim, "chat")?;
        until("who was on the pod that died has come back", BACK_WITHIN, || {
            for socket in &mut *sockets {
                talk.say_more(socket)?;
            }
            let moved = connections(sockets)?.iter().zip(&before).filter(|(now, before)| now > before).count();
            ensure!((1..sockets.len()).contains(&moved), "{moved} of {} sockets moved", sockets.len());
            Ok(())
        })?;
        stage.wait_until_ready()
    })
}

/// Two chat pods with people on both, who see one another live; then something happens, after which nobody may have missed anything.
fn with_two_chat_pods(stage: &Stage, happens: impl FnOnce(&mut [Socket], &mut Talk) -> Result<()>) -> Result<()> {
    let outcome = scaled(stage, 2).and_then(|()| {
        wait_until_known(stage, "chat", 2)?;
        let (ada, ben, conversation) = two_in_conversation(stage)?;
        let mut sockets = on_every_chat_pod(stage, [&ada, &ben])?;
        let mut talk = Talk::begin(&conversation);
        for socket in &mut sockets {
            talk.say_more(socket)?;
            talk.say_more(socket)?;
        }
        let told = 2 * sockets.len();
        for socket in &mut sockets {
            talk.ensure_stored(&socket.wait("message:new", told)?).context("what a socket saw")?;
        }
        happens(&mut sockets, &mut talk)?;
        let count = talk.ensure_stored(&ben.history(stage, &conversation)?)?;
        let mut stayed = 0;
        for socket in &mut sockets {
            if socket.connections()? == 1 {
                stayed += 1;
                talk.ensure_stored(&socket.wait("message:new", count)?).context("what a socket saw that stayed")?;
            }
            let seen = catch_up(stage, &ben, socket, &conversation)?;
            ensure!(talk.missing_in(&seen) == 0, "who resumed misses {} of {count}", talk.missing_in(&seen));
        }
        stage.note(format!("{} sockets, of which {stayed} stayed connected; {count} messages", sockets.len()));
        Ok(())
    });
    // Nothing that applying the document would take back.
    outcome.and(scaled(stage, 1))
}

/// Has so many chat pods by `kubectl scale`, as the scale subresource then says.
fn scaled(stage: &Stage, replicas: usize) -> Result<()> {
    let name = format!("chatplatform/{}", stage.platform);
    stage.kubectl(["scale", &name, &format!("--replicas={replicas}")])?;
    stage.wait_until_ready()?;
    until("the scale says what is there", LIMIT, || {
        let scale = stage.kubectl_json(["get", &name, "--subresource=scale"])?;
        let (wanted, there) = (&scale["spec"]["replicas"], &scale["status"]["replicas"]);
        ensure!(*wanted == replicas && *there == replicas, "the scale is {scale}");
        let selector = scale["status"]["selector"].as_str().context("the scale has no selector")?;
        let selected =
            stage.kubectl(["get", "pods", "--output=name", "--sort-by=.metadata.name", "--selector", selector])?;
        let pods = chat_pods(stage)?;
        ensure!(pods.len() == replicas, "there are {pods:?}");
        ensure!(selected.lines().eq(pods.iter().map(|pod| format!("pod/{pod}"))), "{selector} selects {selected}");
        Ok(())
    })
}

/// Sockets of these people until there is one on every chat pod: of the first by polling alone. New ones go where fewer requests are
/// under way.
fn on_every_chat_pod(stage: &Stage, people: [&Person; 2]) -> Result<Vec<Socket>> {
    const MOST: usize = 12;
    let mut sockets = Vec::new();
    while sockets.len() < MOST {
        sockets.push(Socket::polling(stage, &people[0].access_token)?);
        sockets.push(Socket::connect(stage, &people[1].access_token)?);
        let on_pods = chat_pods(stage)?.iter().map(|pod| sockets_on(stage, pod)).collect::<Result<Vec<_>>>()?;
        if on_pods.iter().all(|count| *count > 0) {
            stage.note(format!("sockets on the pods: {on_pods:?}"));
            return Ok(sockets);
        }
    }
    bail!("{MOST} sockets are all on one pod")
}

pub(super) fn sockets_on(stage: &Stage, pod: &str) -> Result<u64> {
    let metrics = metrics(stage, pod)?;
    let value = metrics.lines().find_map(|line| line.strip_prefix("chat_sockets "));
    value.context("there is no chat_sockets")?.parse().context("chat_sockets is no number")
}

fn connections(sockets: &mut [Socket]) -> Result<Vec<u64>> {
    sockets.iter_mut().map(Socket::connections).collect()
}

pub(super) fn chat_pods(stage: &Stage) -> Result<Vec<String>> {
    pods_of(stage, "chat")?.iter().map(|pod| Ok(name_of(pod)?.to_owned())).collect()
}
