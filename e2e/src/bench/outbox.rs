//! How fast events leave the outbox, beside a plain publisher for Node that reads them from its memory.

mod consumer;

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use servers::{Program, RabbitMq};
use tokio::runtime::Runtime;

use self::consumer::{Consumed, Consumer, EXCHANGE};
use super::figures::Rows;
use super::loopback::Loopback;
use super::process_group::ProcessGroup;
use super::realtime::connection::Recovery;
use super::realtime::crowd::Crowd;
use super::realtime::server::{address, open_group, start_chat};
use super::statistics::{Times, each_second, median, micros_each, milliseconds};

/// Conversations, in each of which one writes, and their members.
const GROUPS: usize = 32;
const MEMBERS: usize = 8;
/// When it is calm.
const CALM_PER_SECOND: u32 = 100;

/// Events that went to a consumer, and what that took of the program that published them.
struct Round {
    count: u64,
    within: Duration,
    processor: Duration,
}

struct Bench<'a> {
    loopback: &'a Loopback<'a>,
    threads: Runtime,
    broker: RabbitMq,
    uri: String,
    chat: Program,
    crowd: Crowd,
}

/// Measures all of it.
pub(super) fn measure(loopback: &Loopback<'_>) -> Result<String> {
    let mut bench = Bench::prepare(loopback)?;
    let (rounds, messages) = (loopback.usually(5, 1), loopback.usually(6_400, 640));
    let (mut ours, mut plain) = (Vec::new(), Vec::new());
    let mut publisher = None;
    for round in 1..=rounds {
        let (of_ours, events) = bench.left_behind(messages)?;
        let running = match publisher.take() {
            Some(running) => running,
            None => bench.start_peer(&events)?,
        };
        let of_peer = bench.plain(&running, of_ours.count)?;
        publisher = Some(running);
        loopback.progress.say(format!(
            "    {round} of {rounds}: {:.0} events a second out of the outbox, {:.0} of the plain publisher",
            of_ours.each_second(),
            of_peer.each_second()
        ));
        ours.push(of_ours);
        plain.push(of_peer);
    }
    let times = bench.calmly(Duration::from_secs(loopback.usually(10, 3)))?;
    table(&ours, &plain, &times)
}

impl<'a> Bench<'a> {
    fn prepare(loopback: &'a Loopback<'a>) -> Result<Self> {
        let threads =
            tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
        let broker = RabbitMq::start()?;
        let uri = broker.virtual_host();
        // The queue stays while nobody consumes.
        drop(threads.block_on(Consumer::start(&uri))?);
        let chat = start_chat(loopback, "bench-outbox", &uri)?;
        let group = |number: usize| -> Result<_> {
            let mut people = open_group(&chat, number * MEMBERS, MEMBERS)?;
            people.truncate(1);
            Ok(people)
        };
        let people = (0..GROUPS).map(group).collect::<Result<_>>()?;
        let crowd = threads.block_on(Crowd::connect(address(&chat)?, Recovery::ByCursor, people))?;
        Ok(Self { loopback, threads, broker, uri, chat, crowd })
    }

    /// Has messages written while there is no broker, and then measures how their events come.
    fn left_behind(&mut self, messages: usize) -> Result<(Round, Vec<Consumed>)> {
        self.broker.stop()?;
        let each = (messages / GROUPS) as u64;
        let written = self.threads.block_on(self.crowd.as_fast_as_it_goes(each))?;
        ensure!(written.came == written.expected, "messages are missing: {written:?}");
        self.broker.restart()?;
        let group = ProcessGroup(self.chat.id());
        let before = group.processor_time()?;
        let (measured, events) = self.threads.block_on(async {
            let consumer = Consumer::start(&self.uri).await?;
            let events = consumer.take(messages).await?;
            anyhow::Ok((
                Round { processor: group.processor_time()?.saturating_sub(before), ..spread(&events)? },
                events,
            ))
        })?;
        in_order(&events, each)?;
        Ok((measured, events))
    }

    /// A plain publisher of the same events.
    fn start_peer(&self, events: &[Consumed]) -> Result<Program> {
        let bodies: Vec<_> = events.iter().map(|event| String::from_utf8_lossy(&event.data).into_owned()).collect();
        let file = self.loopback.file("events", &bodies.join("\n"))?;
        let variables = vec![("EVENTS", file), ("EXCHANGE", EXCHANGE.to_owned()), ("BROKER", self.uri.clone())];
        self.loopback.start_peer("publisher", variables)
    }

    fn plain(&self, publisher: &Program, count: u64) -> Result<Round> {
        let group = ProcessGroup(publisher.id());
        let before = group.processor_time()?;
        self.threads.block_on(async {
            let consumer = Consumer::start(&self.uri).await?;
            let url = publisher.url();
            let work = tokio::task::spawn_blocking(move || -> Result<String> {
                Ok(ureq::post(url).send_empty().context("the publisher fails")?.body_mut().read_to_string()?)
            });
            let events = consumer.take(usize::try_from(count)?).await?;
            let confirmed: u64 = work.await??.parse().context("the publisher answers no number")?;
            ensure!(confirmed == count, "{confirmed} of {count} were confirmed to the publisher");
            Ok(Round { processor: group.processor_time()?.saturating_sub(before), ..spread(&events)? })
        })
    }

    /// From the acknowledgement of a message to its event at the consumer.
    fn calmly(&mut self, time: Duration) -> Result<Times> {
        self.threads.block_on(async {
            let consumer = Consumer::start(&self.uri).await?;
            let sent = self.crowd.paced(CALM_PER_SECOND, time).await?;
            let events = consumer.take(sent.len()).await?;
            let at: HashMap<(&str, u64), Instant> =
                events.iter().rev().map(|event| ((event.conversation.as_str(), event.seq), event.at)).collect();
            let took = |sent: &super::realtime::crowd::Sent| {
                let came = at.get(&(sent.conversation.as_str(), sent.seq));
                let came = came.with_context(|| format!("no event of {} {}", sent.conversation, sent.seq))?;
                Ok(came.saturating_duration_since(sent.acknowledged))
            };
            sent.iter().map(took).collect()
        })
    }
}

impl Round {
    fn each_second(&self) -> f64 {
        each_second(self.count, self.within)
    }
}

/// From the first to the last event at the consumer.
fn spread(events: &[Consumed]) -> Result<Round> {
    let (first, last) = (events.first().context("no events")?, events.last().context("no events")?);
    let within = last.at.saturating_duration_since(first.at);
    Ok(Round { count: events.len() as u64, within, processor: Duration::ZERO })
}

/// It is an error if a conversation's events are not so many, each with the number behind the one before it.
fn in_order(events: &[Consumed], each: u64) -> Result<()> {
    let mut lines: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for event in events {
        lines.entry(&event.conversation).or_default().push(event.seq);
    }
    for (conversation, numbers) in lines {
        ensure!(numbers.len() as u64 == each, "{} of {each} events of {conversation} came", numbers.len());
        let follows = numbers.windows(2).all(|two| two[1] == two[0] + 1);
        ensure!(follows, "the events of {conversation} came out of order");
    }
    Ok(())
}

fn table(ours: &[Round], plain: &[Round], times: &Times) -> Result<String> {
    let mut rows = Rows::of([
        "publisher",
        "events a second",
        "of the plain one",
        "processor time an event",
        "message acknowledged to event consumed, median",
        "99 of 100 within",
    ]);
    let over_rounds =
        |rounds: &[Round], of: fn(&Round) -> f64| median(rounds.iter().map(of)).context("no round was measured");
    let beside = median(ours.iter().zip(plain).map(|(one, other)| one.each_second() / other.each_second()));
    let times = [milliseconds(times.percentile(50)), milliseconds(times.percentile(99))];
    let both = [
        ("the outbox of the chat service", ours, beside.context("no round was measured")?, times),
        ("amqplib for Node, from memory", plain, 1.0, [String::new(), String::new()]),
    ];
    for (name, rounds, beside, [middle, most]) in both {
        rows.add([
            name.to_owned(),
            format!("{:.0}", over_rounds(rounds, Round::each_second)?),
            format!("{beside:.2}"),
            format!("{:.0} µs", over_rounds(rounds, |round| micros_each(round.processor, round.count))?),
            middle,
            most,
        ]);
    }
    Ok(rows.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn events(numbers: &[(&str, u64)]) -> Vec<Consumed> {
        let at = Instant::now();
        let event = |(conversation, seq): &(&str, u64)| Consumed {
            conversation: (*conversation).to_owned(),
            seq: *seq,
            at,
            data: Vec::new(),
        };
        numbers.iter().map(event).collect()
    }

    #[test]
    fn every_conversation_has_all_its_events_in_their_order() {
        in_order(&events(&[("a", 4), ("b", 1), ("b", 2), ("a", 5)]), 2).unwrap();
        let error = |numbers: &[(&str, u64)]| in_order(&events(numbers), 2).unwrap_err().to_string();
        assert_eq!(error(&[("a", 2), ("a", 1)]), "the events of a came out of order");
        assert_eq!(error(&[("a", 1), ("a", 3)]), "the events of a came out of order");
        assert_eq!(error(&[("a", 1), ("b", 1), ("b", 2)]), "1 of 2 events of a came");
    }
}
