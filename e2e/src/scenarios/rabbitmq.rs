//! A broker of three nodes that loses one, or all for a minute, while people write: each message still becomes a notification of who
//! was away.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::chronicle::Chronicle;
use super::faults::{self, Paused};
use super::load::{Crowd, Message, under_load};
use super::notifications::listed;
use super::people::Person;
use super::wait::until;
use super::{Stage, documents, production, replica_set};
use crate::progress::seconds;

const COMPONENT: &str = "rabbitmq";
const CONTAINER: &str = "rabbitmq";
const CONDITION: &str = "RabbitMQReady";
const VIRTUAL_HOST: &str = "chatplatform";
/// The queue from which notifications are made.
const QUEUE: &str = "notification.events";
/// Messages that show that writing goes on.
const SEVERAL: usize = 20;
/// How long the broker is away.
const AWAY: Duration = Duration::from_mins(1);
/// How long everything that was held back may take to arrive. A consumer that lost its connection waits before the next try.
const ARRIVES_WITHIN: Duration = Duration::from_mins(2);
/// How many events two consumers may have in hand at a time: of those any may be done first.
const IN_HAND: usize = 2 * 32;

pub(super) fn a_node_killed_under_load_loses_no_event(stage: &Stage) -> Result<()> {
    production::on_stage(stage)?;
    let away = Person::register(stage, "away")?;
    let (leader, written) = under_load(stage, &Crowd::together().heard_by(&away), |load| {
        load.wait_for_more(SEVERAL)?;
        let leader = leader(stage)?;
        let chronicle = Chronicle::open(stage)?;
        faults::kill(stage, &leader, CONTAINER)?;
        load.wait_for_more(SEVERAL)?;
        chronicle.tells(CONDITION, &[&leader])?;
        stage.wait_until_ready()?;
        load.wait_for_more(SEVERAL)?;
        Ok(leader)
    })?;
    all_notified(stage, &away, &written.history)?;
    stage.note(format!("{leader} led the queue; {} notifications; {}", written.history.len(), written.note()));
    Ok(())
}

pub(super) fn a_broker_away_for_a_minute_delays_events_and_loses_none(stage: &Stage) -> Result<()> {
    production::on_stage(stage)?;
    let away = Person::register(stage, "away")?;
    let held = || {
        let primary = replica_set::primary(stage)?;
        documents::count(stage, "chat", &primary, "messages", &json!({"outbox.0": {"$exists": true}}))
    };
    let ((paused, before), written) = under_load(stage, &Crowd::together().heard_by(&away), |load| {
        load.wait_for_more(SEVERAL)?;
        let chronicle = Chronicle::open(stage)?;
        let (began, paused) = (Instant::now(), Paused::begin(stage, COMPONENT, CONTAINER)?);
        let before = load.acknowledged();
        load.wait_for_more(SEVERAL)?;
        chronicle.tells(CONDITION, &[COMPONENT])?;
        // This minute is what is tried: nothing is awaited.
        sleep(AWAY.saturating_sub(began.elapsed()));
        let during = u64::try_from(load.acknowledged() - before)?;
        let waiting = held()?;
        // Some that came later than the count are in it, some of before are not out yet.
        ensure!(waiting * 10 >= during * 9, "only {waiting} events of {during} messages wait in the outbox");
        Ok((paused, before))
    })?;
    // Nobody writes any more: what arrives now is what was held back.
    let back = Instant::now();
    drop(paused);
    let order = all_notified(stage, &away, &written.history)?;
    let took = back.elapsed();
    until("the outbox is empty", ARRIVES_WITHIN, || {
        let left = held()?;
        ensure!(left == 0, "{left} events are left");
        Ok(())
    })?;
    let overtaken = most_overtaken(&written.history, &order);
    let count = written.history.len();
    ensure!(count > before, "nothing was written while the broker was away");
    ensure!(overtaken <= IN_HAND, "an event overtook {overtaken} others of {count}: they were not sent in order");
    stage.note(format!(
        "{count} notifications, the last {} after the broker was back; at most {overtaken} overtaken; {}",
        seconds(took),
        written.note()
    ));
    stage.wait_until_ready()
}

/// A message that somebody was notified of, and its conversation.
struct Notified {
    conversation: String,
    message: String,
}

/// Waits until somebody who was away has one notification of each message and no other; answers them in their order.
fn all_notified(stage: &Stage, away: &Person, history: &[Message]) -> Result<Vec<Notified>> {
    let sent: BTreeSet<&str> = history.iter().map(|message| message.id.as_str()).collect();
    let order = until("a notification of every message", ARRIVES_WITHIN, || {
        let mut order = notified(&listed(stage, away)?)?;
        let missing = sent.iter().filter(|id| !order.iter().any(|notified| notified.message == **id)).count();
        ensure!(missing == 0, "{missing} of {} are missing", sent.len());
        // Listed newest first.
        order.reverse();
        Ok(order)
    })?;
    ensure!(order.len() == sent.len(), "{} notifications of {} messages", order.len(), sent.len());
    Ok(order)
}

fn notified(notifications: &[Value]) -> Result<Vec<Notified>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let read = |notification: &Value| {
        let (conversation, message) = (text(&notification["conversationId"])?, text(&notification["messageId"])?);
        Some(Notified { conversation, message })
    };
    notifications.iter().map(read).collect::<Option<_>>().context("a notification without a message")
}

/// How many others of its conversation the worst event overtook: those that were sent before it and arrived after it. Nothing is promised of
/// events of different conversations.
fn most_overtaken(history: &[Message], arrived: &[Notified]) -> usize {
    let sent: BTreeMap<&str, u64> = history.iter().map(|message| (message.id.as_str(), message.seq)).collect();
    let mut conversations: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for Notified { conversation, message } in arrived {
        conversations.entry(conversation).or_default().extend(sent.get(message.as_str()));
    }
    let of_one = |places: &Vec<u64>| {
        let overtaken =
            places.iter().enumerate().map(|(at, place)| places[at..].iter().filter(|later| *later < place).count());
        overtaken.max().unwrap_or_default()
    };
    conversations.values().map(of_one).max().unwrap_or_default()
}

/// The pod of the node that leads the queue of notifications.
fn leader(stage: &Stage) -> Result<String> {
    let pod = format!("{}-{COMPONENT}-0", stage.platform);
    let command = ["rabbitmqctl", "--quiet", "list_queues", "--vhost", VIRTUAL_HOST, "name", "leader"];
    let listed = stage.exec(&pod, CONTAINER, &command)?;
    leader_of(&listed, QUEUE).with_context(|| format!("no leader of {QUEUE} in\n{listed}"))
}

/// `notification.events\trabbit@acme-rabbitmq-1.acme-rabbitmq.chat.svc`
fn leader_of(listed: &str, queue: &str) -> Option<String> {
    let line = listed.lines().find_map(|line| line.split_once('\t').filter(|(name, _)| *name == queue))?;
    let host = line.1.trim().split_once('@')?.1;
    host.split('.').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(count: u64) -> Vec<Message> {
        (0..count).map(|seq| Message { id: format!("{seq:03}"), seq, text: String::new() }).collect()
    }

    #[test]
    fn the_leader_is_read_from_the_list_of_queues() {
        let listed = "name\tleader\nnotification.retry.1\trabbit@a-rabbitmq-2.a-rabbitmq.n.svc\nnotification.events\trabbit@a-rabbitmq-1.a-rabbitmq.n.svc";
        assert_eq!(leader_of(listed, QUEUE).as_deref(), Some("a-rabbitmq-1"));
        assert_eq!(leader_of("name\tleader\n", QUEUE), None);
    }

    #[test]
    fn overtaking_is_counted_against_those_sent_before() {
        let arrived = |numbers: &[u64], conversation: fn(u64) -> u64| -> usize {
            let notified = numbers.iter().map(|number| Notified {
                conversation: conversation(*number).to_string(),
                message: format!("{number:03}"),
            });
            most_overtaken(&messages(100), &notified.collect::<Vec<_>>())
        };
        let mut numbers: Vec<u64> = (0..100).collect();
        assert_eq!(arrived(&numbers, |_| 0), 0);
        numbers.swap(3, 4);
        assert_eq!(arrived(&numbers, |_| 0), 1);
        assert_eq!(arrived(&numbers, |number| number % 2), 0, "those two are of different conversations");
        numbers.reverse();
        assert!(arrived(&numbers, |_| 0) >= 98);
    }
}
