//! From one release to the next. Both are the same builds under two names, so what is tried is the way and not what is new.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::Stage;
use super::lifecycle::Restored;
use super::load::{Crowd, under_load};
use super::people::two_in_conversation;
use super::status::condition;
use super::wait::until;
use crate::images::{self, PREVIOUS, VERSION};
use crate::progress::Progress;

/// What changes over together, in order, but for the edge, whose image is no release's.
const WAVES: [&[&str]; 4] = [&["notification"], &["auth", "chat", "media"], &["gateway"], &["web"]];
/// A release between the two, of which some images are missing.
const BROKEN: &str = "0.0.10";
/// One of which there are none at all.
const MISSING: &str = "0.0.11";
/// How long an upgrade may take, and until it is told that it has stopped.
const LIMIT: Duration = Duration::from_mins(5);

pub(super) fn a_platform_that_names_no_release_keeps_its_own_and_one_that_is_older_or_skips_is_refused(
    stage: &Stage,
) -> Result<()> {
    on_stage(stage)?;
    let before = pods(stage)?;
    stage.wait_until_ready()?;
    ensure!(version(stage)? == PREVIOUS, "{}, though nobody asked for another release", version(stage)?);
    for (release, word) in
        [("0.0.8", "is older than 0.0.9"), ("0.2.0", "skips a release"), ("2.0.0", "skips a release")]
    {
        let Err(error) = stage.change(&json!({"spec": {"version": release}})) else { bail!("{release} was accepted") };
        let message = format!("{error:#}");
        ensure!(message.contains("spec.version") && message.contains(word), "{message}");
    }
    // What a newer operator may know, this one says itself.
    let _restored = Restored(stage);
    stage.change(&json!({"spec": {"version": "0.1.999999"}}))?;
    until("a release that the operator does not know is told", LIMIT, || {
        let valid = condition(&stage.read_platform()?, "SpecValid")?;
        let message = valid["message"].as_str().unwrap_or_default();
        ensure!(valid["status"] == "False" && message.contains("upgrade the operator first"), "{valid}");
        Ok(())
    })?;
    stage.change(&json!({}))?;
    stage.wait_until_ready()?;
    ensure!(pods(stage)? == before, "a pod was replaced");
    Ok(())
}

pub(super) fn a_release_whose_images_cannot_be_pulled_stops_before_anything_changes_and_is_returned_from(
    stage: &Stage,
) -> Result<()> {
    on_stage(stage)?;
    let (ada, ben, conversation) = two_in_conversation(stage)?;
    let message = ada.send(stage, &conversation, "before")?;
    let before = pods(stage)?;
    let _restored = Restored(stage);
    stage.change(&json!({"spec": {"version": MISSING}}))?;
    let stalled = wait_until_stopped(stage)?;
    let words = stalled["message"].as_str().unwrap_or_default();
    let expected =
        [format!("from {PREVIOUS} to {MISSING} has stopped"), format!("{PREVIOUS} serves"), format!(":{MISSING}")];
    for expected in &expected {
        ensure!(words.contains(expected), "{expected:?} is not in {words}");
    }
    ensure!(stalled["reason"] == "ImagePullBackOff", "{stalled}");
    let events = stage.kubectl(["get", "events", "--field-selector=reason=ImagePullBackOff,type=Warning"])?;
    ensure!(events.contains("has stopped"), "no event tells of it: {events}");
    ensure!(version(stage)? == PREVIOUS, "the status says {}", version(stage)?);
    ensure!(pods(stage)? == before, "a pod of the release that serves was replaced");
    ensure!(ben.history(stage, &conversation)? == [message], "the message is not as it was");

    stage.change(&json!({}))?;
    stage.wait_until_ready()?;
    ensure!(pods(stage)? == before, "a pod was replaced on the way back");
    let jobs = stage.kubectl(["get", "jobs", "--selector", &stage.selector(), "--output=name"])?;
    ensure!(jobs.is_empty(), "there are Jobs: {jobs}");
    Ok(())
}

pub(super) fn an_upgrade_that_stops_at_the_gateway_leaves_the_old_one_serving_and_goes_on_with_the_next_release(
    stage: &Stage,
) -> Result<()> {
    on_stage(stage)?;
    load_as(stage, &["auth", "chat", "media", "notification"], BROKEN)?;
    let _restored = Restored(stage);
    let (ada, ben, conversation) = two_in_conversation(stage)?;
    let first = ada.send(stage, &conversation, "before")?;
    stage.change(&json!({"spec": {"version": BROKEN}}))?;
    let stalled = wait_until_stopped(stage)?;
    let words = stalled["message"].as_str().unwrap_or_default();
    ensure!(words.contains("has stopped at gateway") && words.contains(&format!("{PREVIOUS} serves")), "{words}");
    for (component, release) in [("notification", BROKEN), ("chat", BROKEN), ("gateway", BROKEN), ("web", PREVIOUS)] {
        ensure!(
            image(stage, component)?.ends_with(&format!(":{release}")),
            "{component}: {}",
            image(stage, component)?
        );
    }
    let second = ada.send(stage, &conversation, "in between")?;

    // All images of this one are there.
    stage.change(&json!({"spec": {"version": VERSION}}))?;
    wait_until_whole(stage)?;
    ensure!(ben.log_in(stage)?.history(stage, &conversation)? == [first, second], "the messages are not as they were");
    Ok(())
}

pub(super) fn an_upgrade_under_load_loses_no_message_and_changes_one_group_after_the_other(
    stage: &Stage,
) -> Result<()> {
    on_stage(stage)?;
    let _restored = Restored(stage);
    let (ada, ben, conversation) = two_in_conversation(stage)?;
    let message = ada.send(stage, &conversation, "before")?;
    let ((), written) = under_load(stage, &Crowd::together(), |load| {
        load.wait_for_more(5)?;
        stage.change(&json!({"spec": {"version": VERSION}}))?;
        wait_until_whole(stage)?;
        load.wait_for_more(5)
    })?;
    stage.note(written.note());
    ensure!(ben.log_in(stage)?.history(stage, &conversation)? == [message], "the message is not as it was");

    let mut latest = String::new();
    for wave in WAVES {
        let made = wave.iter().map(|component| made_last(stage, component)).collect::<Result<Vec<_>>>()?;
        ensure!(made.iter().all(|at| *at >= latest), "{wave:?} at {made:?}, and what comes before at {latest}");
        latest = made.into_iter().max().unwrap_or(latest);
    }
    let events = stage.kubectl(["get", "events", "--field-selector=reason=Upgrading"])?;
    for step in ["brings the databases", "1 of 5", "2 of 5", "3 of 5", "4 of 5"] {
        ensure!(events.contains(step), "no event tells of {step:?}: {events}");
    }
    let jobs = stage.kubectl(["get", "jobs", "--selector", &stage.selector(), "--output=name"])?;
    ensure!(jobs.is_empty(), "there are Jobs: {jobs}");
    // No release written: the one that serves.
    stage.change(&json!({}))?;
    stage.wait_until_ready()?;
    ensure!(version(stage)? == VERSION, "{}", version(stage)?);
    Ok(())
}

/// Has a minimal platform of the release before on stage, Ready, whose document names no release.
pub(super) fn on_stage(stage: &Stage) -> Result<()> {
    let components: Vec<&str> = images::COMPILED.iter().map(|(component, _)| *component).collect();
    let components: Vec<&str> =
        components.into_iter().filter(|component| *component != "operator").chain(["web"]).collect();
    load_as(stage, &components, PREVIOUS)?;
    if stage.is_taken()? && version(stage)? == PREVIOUS {
        stage.change(&json!({}))?;
        return stage.wait_until_usable().map(drop);
    }
    let unnamed = stage.minimal()?;
    let mut document = unnamed.clone();
    document["spec"]["version"] = PREVIOUS.into();
    stage.replace_platform(document)?;
    // It is that of the production example which others look for.
    stage.next_ready_after.set(None);
    stage.plan(unnamed);
    stage.change(&json!({}))?;
    stage.wait_until_ready()
}

fn load_as(stage: &Stage, components: &[&str], release: &str) -> Result<()> {
    let progress = Progress::new(stage.cluster.cache().logs());
    images::load_as(&stage.cluster, components, release, &progress)
}

/// Waits until it is told that somebody has to act; answers the condition.
fn wait_until_stopped(stage: &Stage) -> Result<Value> {
    until("the upgrade has stopped", LIMIT, || {
        let stalled = condition(&stage.read_platform()?, "Stalled")?;
        ensure!(stalled["status"] == "True", "{}", condition(&stage.read_platform()?, "Ready")?["message"]);
        Ok(stalled)
    })
}

/// Waits until the new release serves, which the status must not say before all of it does.
fn wait_until_whole(stage: &Stage) -> Result<()> {
    until("the new release serves", LIMIT, || {
        let platform = stage.read_platform()?;
        ensure!(platform["status"]["version"] == VERSION, "{}", condition(&platform, "Ready")?["message"]);
        Ok(())
    })?;
    for component in WAVES.iter().copied().flatten() {
        let image = image(stage, component)?;
        ensure!(image.ends_with(&format!(":{VERSION}")), "the status says {VERSION}, and {component} is {image}");
    }
    stage.wait_until_usable().map(drop)
}

/// The release that serves, by the status.
fn version(stage: &Stage) -> Result<String> {
    Ok(stage.read_platform()?["status"]["version"].as_str().unwrap_or_default().to_owned())
}

/// The pods of the services, each with its identity.
fn pods(stage: &Stage) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    for component in WAVES.iter().copied().flatten() {
        let pods = stage.of_component("pods", component)?;
        // One that is about to go takes its time.
        let lasting = pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        found.extend(lasting.map(|pod| pod["metadata"]["uid"].clone()));
    }
    ensure!(found.len() >= 6, "there are only {} pods", found.len());
    Ok(found)
}

/// The image that a service is to have.
fn image(stage: &Stage, component: &str) -> Result<String> {
    let deployment = stage.kubectl_json(["get", "deployment", &format!("{}-{component}", stage.platform)])?;
    let image = deployment["spec"]["template"]["spec"]["containers"][0]["image"].as_str();
    image.map(str::to_owned).with_context(|| format!("{component} has no image"))
}

/// When the newest `ReplicaSet` of a service was made, RFC 3339.
fn made_last(stage: &Stage, component: &str) -> Result<String> {
    let sets = stage.of_component("replicasets", component)?;
    let times = sets.iter().filter_map(|set| set["metadata"]["creationTimestamp"].as_str());
    times.max().map(str::to_owned).with_context(|| format!("{component} has no ReplicaSet"))
}
