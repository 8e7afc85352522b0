//! Many people in groups, each with a connection, from one process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use futures::future::try_join_all;
use rand::RngExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{interval, sleep, timeout};

use super::connection::{Acknowledged, Connection, Order, Person, Reader, Recovery, Tally, timed};
use crate::bench::statistics::Times;
use crate::interrupt;

/// So many connect at a time.
const AT_ONCE: usize = 100;
const CONNECTED_WITHIN: Duration = Duration::from_mins(3);
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);
const DELIVERED_WITHIN: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(5);
/// Where nothing more arrives for so long, nothing more will.
const SILENCE: Duration = Duration::from_secs(10);
/// Whoever was cut off stays away for less than this.
const AWAY_MILLISECONDS: u64 = 1000;
/// About what people write.
const TEXT: &str =
    "I will be there at seven, can somebody bring the long table and a few chairs from the other room please";

/// Everybody. Dropping it ends all connections.
pub(in crate::bench) struct Crowd {
    groups: Vec<Group>,
    tally: Arc<Tally>,
    clock: Instant,
}

struct Group {
    conversation: String,
    members: Vec<Member>,
    /// The number of the last message that was acknowledged, and none before it was not.
    last: u64,
}

struct Member {
    orders: mpsc::UnboundedSender<Order>,
    reader: Arc<Reader>,
}

/// A message that was acknowledged.
pub(in crate::bench) struct Sent {
    pub(in crate::bench) conversation: String,
    pub(in crate::bench) seq: u64,
    pub(in crate::bench) acknowledged: Instant,
}

/// What came of messages.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) struct Delivered {
    /// How many deliveries there should be: messages times members.
    pub(in crate::bench) expected: u64,
    pub(in crate::bench) came: u64,
    /// More than once.
    pub(in crate::bench) repeated: u64,
    pub(in crate::bench) within: Duration,
    /// Connections that were cut, and connected again.
    pub(in crate::bench) returned: usize,
}

impl Crowd {
    /// Connects everybody, by group.
    pub(in crate::bench) async fn connect(
        address: SocketAddr,
        recovery: Recovery,
        people: Vec<Vec<Person>>,
    ) -> Result<Self> {
        let (tally, clock) = (Arc::<Tally>::default(), Instant::now());
        let mut crowd = Self { groups: Vec::new(), tally: Arc::clone(&tally), clock };
        let mut count = 0;
        for people in people {
            let conversation = people.first().context("a group without members")?.conversation.clone();
            let mut members = Vec::new();
            for person in people {
                crowd.until_connected(count, AT_ONCE).await?;
                let (sender, orders) = mpsc::unbounded_channel();
                let reader = Arc::<Reader>::default();
                members.push(Member { orders: sender, reader: Arc::clone(&reader) });
                let tally = Arc::clone(&tally);
                tokio::spawn(Connection { address, recovery, person, reader, tally, orders, clock }.run());
                count += 1;
            }
            crowd.groups.push(Group { conversation, members, last: 0 });
        }
        crowd.until_connected(count, 1).await?;
        Ok(crowd)
    }

    /// Waits until fewer than `missing` of so many are not connected.
    async fn until_connected(&self, count: usize, missing: usize) -> Result<()> {
        let deadline = Instant::now() + CONNECTED_WITHIN;
        loop {
            let connected = self.tally.connected.load(Ordering::Relaxed);
            if connected + missing > count {
                return Ok(());
            }
            self.tally.check()?;
            interrupt::check()?;
            ensure!(Instant::now() < deadline, "only {connected} of {count} are connected");
            sleep(POLL).await;
        }
    }

    /// In every group one sends so many messages, each once the one before was acknowledged.
    pub(in crate::bench) async fn as_fast_as_it_goes(&mut self, each: u64) -> Result<Delivered> {
        let before = self.counted();
        let began = Instant::now();
        let writers = self.groups.iter().map(|group| async move {
            let mut last = group.last;
            for _ in 0..each {
                last = acknowledged(group.post(TEXT.to_owned())?).await?.seq;
            }
            anyhow::Ok(last)
        });
        let last = try_join_all(writers).await?;
        self.groups.iter_mut().zip(last).for_each(|(group, last)| group.last = last);
        self.settle(each * self.groups.len() as u64, before, began).await
    }

    /// So many messages a second for some time, by the groups in turn. Answers how long it took from sending to each reader too.
    pub(in crate::bench) async fn calmly(&mut self, per_second: u32, time: Duration) -> Result<(Delivered, Times)> {
        let before = self.counted();
        let began = Instant::now();
        let sent = self.paced(per_second, time).await?.len() as u64;
        let delivered = self.settle(sent, before, began).await?;
        let times = self.members().flat_map(|member| member.reader.take_times()).collect();
        Ok((delivered, times))
    }

    /// The same while one of `part` of all connections is cut at some time, though never one that writes.
    pub(in crate::bench) async fn with_cuts(
        &mut self,
        per_second: u32,
        time: Duration,
        part: usize,
    ) -> Result<Delivered> {
        let before = self.counted();
        let began = Instant::now();
        let readers: Vec<_> = self.groups.iter().flat_map(|group| &group.members[1..]).collect();
        let cut: Vec<_> = readers.iter().step_by(part).map(|member| member.orders.clone()).collect();
        let pause = time / u32::try_from(cut.len().max(1)).unwrap_or(u32::MAX);
        let cuts = tokio::spawn(async move {
            let mut moments = interval(pause);
            for connection in cut {
                moments.tick().await;
                let away = Duration::from_millis(rand::rng().random_range(0..AWAY_MILLISECONDS));
                // It has ended by itself, which is found out below.
                let _ = connection.send(Order::Cut { away });
            }
        });
        let sent = self.paced(per_second, time).await?.len() as u64;
        cuts.await.context("the cutting came to grief")?;
        let everybody = self.members().count();
        sleep(Duration::from_millis(AWAY_MILLISECONDS)).await;
        self.until_connected(everybody, 1).await?;
        self.settle(sent, before, began).await
    }

    /// So many messages a second for some time, by the groups in turn. Answers once all were acknowledged.
    pub(in crate::bench) async fn paced(&mut self, per_second: u32, time: Duration) -> Result<Vec<Sent>> {
        let mut moments = interval(Duration::from_secs(1) / per_second);
        let end = Instant::now() + time;
        let (mut waiting, mut turn) = (Vec::new(), 0);
        while Instant::now() < end {
            moments.tick().await;
            self.tally.check()?;
            interrupt::check()?;
            waiting.push((turn, self.groups[turn].post(timed(self.clock, TEXT))?));
            turn = (turn + 1) % self.groups.len();
        }
        let mut sent = Vec::with_capacity(waiting.len());
        for (turn, answer) in waiting {
            let Acknowledged { seq, at } = acknowledged(answer).await?;
            let group = &mut self.groups[turn];
            group.last = group.last.max(seq);
            sent.push(Sent { conversation: group.conversation.clone(), seq, acknowledged: at });
        }
        Ok(sent)
    }

    /// Waits until everybody has everything, or nothing comes any more.
    async fn settle(&self, messages: u64, before: Counted, began: Instant) -> Result<Delivered> {
        let members = self.groups.first().map_or(0, |group| group.members.len()) as u64;
        let expected = messages * members;
        let deadline = Instant::now() + DELIVERED_WITHIN;
        let mut last = (before.delivered, Instant::now());
        loop {
            self.tally.check()?;
            interrupt::check()?;
            let now = self.counted();
            if now.delivered != last.0 {
                last = (now.delivered, Instant::now());
            }
            let delivered = now.delivered - before.delivered;
            let is_over = delivered >= expected || last.1.elapsed() > SILENCE || Instant::now() > deadline;
            if is_over {
                let within = last.1.saturating_duration_since(began);
                let (repeated, returned) = (now.repeated - before.repeated, now.returned - before.returned);
                return Ok(Delivered { expected, came: delivered, repeated, within, returned });
            }
            sleep(POLL).await;
        }
    }

    /// It is an error if anybody misses anything of all that was ever acknowledged.
    pub(in crate::bench) fn nobody_misses_anything(&self) -> Result<()> {
        for group in &self.groups {
            let behind = group.members.iter().filter(|member| member.reader.up_to() != group.last).count();
            ensure!(behind == 0, "{behind} of {} do not have all {} messages", group.members.len(), group.last);
        }
        Ok(())
    }

    fn members(&self) -> impl Iterator<Item = &Member> {
        self.groups.iter().flat_map(|group| &group.members)
    }

    fn counted(&self) -> Counted {
        Counted {
            delivered: self.tally.delivered.load(Ordering::Relaxed),
            repeated: self.tally.repeated.load(Ordering::Relaxed),
            returned: self.tally.returned.load(Ordering::Relaxed),
        }
    }
}

#[derive(Clone, Copy)]
struct Counted {
    delivered: u64,
    repeated: u64,
    returned: usize,
}

impl Group {
    /// Hands a message to the connection of the one who writes.
    fn post(&self, text: String) -> Result<oneshot::Receiver<Acknowledged>> {
        let (sent, answer) = oneshot::channel();
        let writer = self.members.first().context("the group has no members")?;
        writer.orders.send(Order::Send { text, sent }).map_err(|_| anyhow!("the writer's connection has ended"))?;
        Ok(answer)
    }
}

async fn acknowledged(answer: oneshot::Receiver<Acknowledged>) -> Result<Acknowledged> {
    let answer = timeout(ANSWERED_WITHIN, answer).await.context("a message was not acknowledged in time")?;
    answer.context("the writer's connection ended")
}
