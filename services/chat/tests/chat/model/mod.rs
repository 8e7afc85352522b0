//! Delivery against a reference model: whatever is sent, edited, deleted and reacted to, by whom, over which replica, while sockets break and
//! replicas are killed and Redis with them: what is acknowledged is there, and every reader comes to see exactly that, each change at most once on a connection
//! and in its order.
//!
//! A run is made of steps drawn from a seed. `CHAT_MODEL_SEED` repeats the steps of a run; how they meet in time is the machine's doing, and
//! another run of the same seed may pass. `CHAT_MODEL_SECONDS` runs for so long instead of [`STEPS`] steps. A run that fails prints its seed and
//! what it did.

mod house;
mod plan;
mod reader;
mod reference;

use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use house::House;
use plan::{Step, next};
use reader::Reader;
use reference::Reference;

/// Steps of a run of no given length.
const STEPS: usize = 60;
/// After so many steps everybody is let catch up and compared.
const COMPARE_EVERY: usize = 20;
const USERS: usize = 3;

/// What a run did, printed if it fails.
struct Trace {
    seed: u64,
    steps: Vec<String>,
}

impl Drop for Trace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the run of CHAT_MODEL_SEED={} failed after these steps:\n{}", self.seed, self.steps.join("\n"));
        }
    }
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reader_comes_to_see_exactly_what_was_acknowledged_whatever_breaks() {
    let seed = number("CHAT_MODEL_SEED").unwrap_or_else(rand::random);
    let length = number("CHAT_MODEL_SECONDS").map(Duration::from_secs);
    eprintln!("CHAT_MODEL_SEED={seed}");
    let mut trace = Trace { seed, steps: Vec::new() };
    let mut rng = StdRng::seed_from_u64(seed);
    let mut house = House::open(USERS).await;
    let mut reference = Reference::default();
    for (user, person) in house.people.iter().enumerate() {
        reference.know(user, person.id);
    }
    let mut readers: Vec<Reader> = house.people.iter().cloned().map(Reader::new).collect();

    let began = Instant::now();
    let mut count = 0;
    while length.map_or(count < STEPS, |length| began.elapsed() < length) {
        let step = next(&mut rng, &reference, USERS);
        trace.steps.push(format!("{count}: {step:?}"));
        take(step, &mut house, &mut reference, &mut readers).await;
        for reader in &mut readers {
            reader.absorb();
        }
        count += 1;
        if count % COMPARE_EVERY == 0 {
            compare(&mut house, &reference, &mut readers).await;
        }
    }
    compare(&mut house, &reference, &mut readers).await;
}

async fn take(step: Step, house: &mut House, reference: &mut Reference, readers: &mut [Reader]) {
    match step {
        Step::Act { actions, killed } => {
            let (outcomes, ()) = house.act(actions, killed).await;
            for (action, message) in outcomes {
                reference.apply(&action, message.as_deref());
            }
        }
        Step::ActApart { actions } => {
            for (action, message) in house.act_apart(actions).await {
                reference.apply(&action, message.as_deref());
            }
        }
        Step::Connect { reader, replica } => {
            let url = house.url(replica).await;
            readers[reader].connect(&house.client, &url, &house.conversation).await;
        }
        Step::Disconnect { reader } => readers[reader].disconnect().await,
        Step::Kill { replica } => house.kill(replica),
        Step::Stop { replica } => house.stop(replica),
        Step::Start { replica } => house.start(replica).await,
    }
}

/// Lets every reader catch up, those who are connected without asking for anything, and compares.
async fn compare(house: &mut House, reference: &Reference, readers: &mut [Reader]) {
    let url = house.url(0).await;
    let (last, stored) = house.stored().await;
    reference.agrees_with("the store", &stored);
    for reader in readers.iter_mut() {
        if !reader.is_connected() {
            reader.connect(&house.client, &url, &house.conversation).await;
        }
        reader.reaches(last).await;
        reference.agrees_with(&format!("reader {}", reader.name()), reader.messages());
    }
}
