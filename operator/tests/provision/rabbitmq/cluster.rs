//! Brokers of three nodes, started and stopped by the scripts of their pods.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::ops::Range;
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use lapin::message::BasicGetMessage;
use lapin::options::BasicGetOptions;
use operator::build::rabbitmq::{ADVANCED, SCRIPTS, TOGETHER};
use servers::RabbitMqCluster;
use tokio::sync::{Mutex, MutexGuard};

use super::*;

const SOON: Duration = Duration::from_mins(2);
const CONFIRM: Duration = Duration::from_secs(5);
const QUEUE: &str = "notification.events";
const ALL: [usize; 3] = [0, 1, 2];

/// One cluster at a time: each is the work of both cores of a small machine.
async fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}

struct House {
    cluster: RabbitMqCluster,
    material: Material,
    target: Target,
}

impl House {
    /// Three nodes that do not run yet.
    fn new() -> Self {
        install_crypto();
        let files: Vec<_> = SCRIPTS.into_iter().chain([("advanced.config", ADVANCED)]).collect();
        let settings = format!("{TOGETHER}management_agent.disable_metrics_collector = true\n");
        let cluster = RabbitMqCluster::with_scripts(3, &files, &settings).unwrap();
        let material = material();
        let target = Target {
            nodes: ALL.map(|node| cluster.name(node).to_owned()).to_vec(),
            ..target(&material, cluster.management_url(0))
        };
        Self { cluster, material, target }
    }

    async fn provision(&mut self, asked: usize) -> operator::provision::State {
        self.target.management_url = self.cluster.management_url(asked);
        provision(&self.target).await.unwrap()
    }

    /// Waits until the broker, asked through a node, says this of itself.
    async fn says(&mut self, asked: usize, message: &str) {
        let deadline = Instant::now() + SOON;
        loop {
            let state = self.provision(asked).await;
            if state.message == message {
                return;
            }
            assert!(Instant::now() < deadline, "{state:?}\n{}", self.cluster.log(asked));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn connection(&self) -> Connection {
        connect(self.cluster.address(), login(&self.target.users, "notification"), Names::VIRTUAL_HOST).await.unwrap()
    }

    /// Declares the queue, and puts confirmed events with these numbers into it.
    async fn fill(&self, numbers: Range<u32>) {
        let connection = self.connection().await;
        let own = channel(&connection).await;
        soon("the queue", declare(&own, QUEUE)).await.unwrap();
        soon("the binding", bind(&own, QUEUE)).await.unwrap();
        let address = self.cluster.address();
        let connection = connect(address, login(&self.target.users, "chat"), Names::VIRTUAL_HOST).await.unwrap();
        let mut publisher = channel(&connection).await;
        for number in numbers {
            let deadline = Instant::now() + SOON;
            // While a queue changes its leader, what is sent to it is rejected or never confirmed, and from then on a channel may be
            // refused for good: it is sent again by another one, as services do.
            loop {
                let confirmed = tokio::time::timeout(CONFIRM, send(&publisher, number)).await;
                if confirmed == Ok(Confirmation::Ack(None)) {
                    break;
                }
                assert!(Instant::now() < deadline, "{number}: {confirmed:?}");
                publisher = channel(&connection).await;
            }
        }
    }

    /// Takes everything out of the queue, what was sent twice once.
    async fn drain(&self) -> BTreeSet<u32> {
        let connection = self.connection().await;
        let channel = channel(&connection).await;
        let mut taken = BTreeSet::new();
        let next = || soon("a message", channel.basic_get(QUEUE.into(), BasicGetOptions { no_ack: true }));
        while let Some(BasicGetMessage { delivery, .. }) = next().await.unwrap() {
            taken.insert(u32::from_be_bytes(delivery.data.try_into().unwrap()));
        }
        taken
    }

    fn members(&self, asked: usize) -> BTreeSet<usize> {
        self.cluster.queue(asked, Names::VIRTUAL_HOST, QUEUE).unwrap().members
    }

    /// Waits until a node has said something.
    async fn said(&self, node: usize, words: &str) {
        let deadline = Instant::now() + SOON;
        while !self.cluster.log(node).contains(words) {
            assert!(Instant::now() < deadline, "{words}:\n{}", self.cluster.log(node));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Begins what a pod does before it is told to stop.
    fn leave(&self, node: usize) -> Leaving {
        let mut command = self.cluster.script(node, "leave.escript").unwrap();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let (said, lines) = mpsc::channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| said.send(line)));
        Leaving { child, lines }
    }

    fn starts(&self, node: usize) -> usize {
        self.cluster.log(node).matches("Starting RabbitMQ ").count()
    }
}

/// Publishes an event with a number to whoever wants it.
async fn send(publisher: &Channel, number: u32) -> Confirmation {
    // An event that reached no queue would be confirmed too, but for this.
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let (body, properties) = (number.to_be_bytes(), BasicProperties::default().with_delivery_mode(2));
    let sent = publisher.basic_publish(EXCHANGE.into(), "message.created".into(), options, &body, properties);
    sent.await.unwrap().await.unwrap()
}

/// A script at work.
struct Leaving {
    child: Child,
    lines: Receiver<String>,
}

impl Leaving {
    /// The next line that it says.
    fn says(&self) -> String {
        self.lines.recv_timeout(SOON).unwrap()
    }

    fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits until it is over, and well.
    fn ends(mut self) {
        let deadline = Instant::now() + SOON;
        while !self.is_over() {
            assert!(Instant::now() < deadline, "it does not end");
            thread::sleep(Duration::from_millis(25));
        }
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        // Over already, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a client gets in time. A broker that is not whole may leave a client without an answer.
async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, work).await.unwrap_or_else(|_| panic!("no {what} within {SOON:?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_grows_with_its_queues_and_outlives_the_loss_of_a_volume_and_a_crash_of_all_nodes() {
    let _turn = turn().await;
    let mut house = House::new();
    house.cluster.announce(1).unwrap();
    house.cluster.start_nodes([0]).unwrap();
    import(&house.material, &house.cluster.management_url(0)).await;
    let state = house.provision(0).await;
    assert!(!state.ready && state.message.starts_with("1 of 3 nodes run; "), "{state:?}");
    house.fill(0..100).await;
    assert_eq!(house.members(0), BTreeSet::from([0]));

    // Two more nodes, while the first goes on as it was.
    house.cluster.announce(3).unwrap();
    house.cluster.start_nodes([1, 2]).unwrap();
    house.says(0, "3 of 3 nodes run, quorum of 1 queues safe").await;
    assert_eq!((house.members(1), house.starts(0)), (BTreeSet::from(ALL), 1));

    // The first node comes back without its data: it must not begin a second cluster, nor vote in the queue as if it knew it.
    house.cluster.kill(0);
    house.cluster.lose_volume(0).unwrap();
    house.fill(100..150).await;
    let state = house.provision(1).await;
    assert!(!state.ready && state.message.contains("rabbit-0@127.0.0.1 is down"), "{state:?}");
    house.cluster.start_nodes([0]).unwrap();
    assert!(house.cluster.log(0).contains("has forgotten rabbit-0@127.0.0.1"), "{}", house.cluster.log(0));
    house.says(1, "3 of 3 nodes run, quorum of 1 queues safe").await;
    assert_eq!(house.members(1), BTreeSet::from(ALL));

    for node in ALL {
        house.cluster.kill(node);
    }
    house.cluster.start_nodes(ALL).unwrap();
    house.says(2, "3 of 3 nodes run, quorum of 1 queues safe").await;
    assert_eq!(house.drain().await, (0..150).collect());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_at_any_time_make_one_cluster_and_stop_only_when_the_others_can_do_without_them() {
    let _turn = turn().await;
    let mut house = House::new();
    // Neither the second node nor the first begins alone; the two are a majority, and the third finds them.
    house.cluster.begin(1).unwrap();
    house.said(1, "the others: rabbit-0@127.0.0.1 is away, rabbit-2@127.0.0.1 is away").await;
    house.cluster.begin(0).unwrap();
    for node in [0, 1] {
        house.cluster.await_ready(node).unwrap();
    }
    house.cluster.start_nodes([2]).unwrap();
    import(&house.material, &house.cluster.management_url(2)).await;
    house.provision(2).await;
    house.fill(0..10).await;
    house.says(0, "3 of 3 nodes run, quorum of 1 queues safe").await;

    // One may go at once.
    house.leave(2).ends();
    house.cluster.stop(2).unwrap();
    // The next waits for it.
    let mut leaving = house.leave(1);
    assert_eq!(leaving.says(), "leave: waits, as a quorum queue would lose its quorum");
    assert!(!leaving.is_over());
    house.cluster.start_nodes([2]).unwrap();
    assert_eq!(leaving.says(), "leave: hands over to the others");
    leaving.ends();
    assert_eq!(house.drain().await, (0..10).collect());
    house.cluster.stop(1).unwrap();
    house.cluster.start_nodes([1]).unwrap();
    house.says(0, "3 of 3 nodes run, quorum of 1 queues safe").await;

    // When all are to go, nobody waits for anybody.
    let began = Instant::now();
    let leaving = ALL.map(|node| house.leave(node));
    leaving.into_iter().for_each(Leaving::ends);
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    for node in ALL {
        house.cluster.stop(node).unwrap();
    }
    // As after a hibernation: they come back, each waiting for those that stopped later.
    house.cluster.start_nodes(ALL).unwrap();
    house.says(1, "3 of 3 nodes run, quorum of 1 queues safe").await;
}
