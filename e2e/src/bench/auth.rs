//! How many people log in: the whole of a log-in by the auth service, beside the comparison of a password alone by a server in Node.

mod load;

use std::time::Duration;

use anyhow::{Context as _, Result};
use servers::{Program, RabbitMq};

use self::load::{Load, LoggedIn};
use super::figures::Rows;
use super::loopback::Loopback;
use super::process_group::ProcessGroup;
use super::statistics::{Times, each_second, median, milliseconds};
use crate::interrupt;

/// A server that people log in at.
struct Server {
    name: &'static str,
    program: Program,
    load: Load,
    goal: &'static str,
    rounds: Vec<Round>,
}

struct Round {
    logged_in: LoggedIn,
    processor: Duration,
}

/// Measures all of it.
pub(super) fn measure(loopback: &Loopback<'_>) -> Result<String> {
    let mut servers = servers(loopback)?;
    let time = Duration::from_secs(loopback.usually(8, 3));
    let rounds = loopback.usually(7, 2);
    for round in 0..=rounds {
        for server in &mut servers {
            interrupt::check()?;
            let measured = server.measure(time)?;
            // The first warms pools and compilers up.
            if round > 0 {
                server.rounds.push(measured);
            }
        }
        let last = |server: &Server| Some(format!("{} {:.1}", server.name, server.rounds.last()?.each_core()));
        let said: Vec<String> = servers.iter().filter_map(last).collect();
        let said = if said.is_empty() { "warmed up".to_owned() } else { said.join(", ") };
        loopback.progress.say(format!("    {round} of {rounds}, log-ins a second and core: {said}"));
    }
    table(&servers)
}

fn servers(loopback: &Loopback<'_>) -> Result<Vec<Server>> {
    let server = |name, program: Program, goal| -> Result<Server> {
        let load = Load::prepare(&program.url()).with_context(|| format!("{name} does not take people in"))?;
        Ok(Server { name, program, load, goal, rounds: Vec::new() })
    };
    Ok(vec![
        server("the auth service", auth(loopback)?, "45")?,
        server("Express with argon2, the password alone", loopback.start_peer("passwords", Vec::new())?, "")?,
    ])
}

/// The service as it is shipped, with real servers. The limits of requests are the gateway's, which is not there.
fn auth(loopback: &Loopback<'_>) -> Result<Program> {
    let mut variables = loopback.token_variables();
    variables.extend(loopback.store_variables("bench-auth", &RabbitMq::shared().virtual_host())?);
    variables.push(("CHATPLATFORM_TOKENS__SIGNING_KEYS_FILE", loopback.signing_keys()?));
    variables.push(("CHATPLATFORM_ACCOUNT_KEYS__FILE", loopback.key_ring()?));
    loopback.start(variables)
}

impl Server {
    fn measure(&self, time: Duration) -> Result<Round> {
        let group = ProcessGroup(self.program.id());
        let before = group.processor_time()?;
        let logged_in = self.load.run(time).with_context(|| format!("wrong answers of {}", self.name))?;
        Ok(Round { logged_in, processor: group.processor_time()?.saturating_sub(before) })
    }
}

impl Round {
    /// Log-ins for each second that a core was busy.
    fn each_core(&self) -> f64 {
        each_second(self.logged_in.count(), self.processor)
    }
}

fn table(servers: &[Server]) -> Result<String> {
    let mut rows = Rows::of([
        "server",
        "log-ins a second and core",
        "goal",
        "log-ins a second",
        "median",
        "99 of 100 within",
        "memory",
    ]);
    for server in servers {
        let over_rounds = |of: fn(&Round) -> f64| median(server.rounds.iter().map(of)).context("no round was measured");
        let times: Times = server.rounds.iter().flat_map(|round| round.logged_in.times.iter().copied()).collect();
        let memory = ProcessGroup(server.program.id()).resident_kibibytes()?.div_ceil(1024);
        rows.add([
            server.name.to_owned(),
            format!("{:.1}", over_rounds(Round::each_core)?),
            server.goal.to_owned(),
            format!("{:.1}", over_rounds(|round| each_second(round.logged_in.count(), round.logged_in.within))?),
            milliseconds(times.percentile(50)),
            milliseconds(times.percentile(99)),
            format!("{memory} MiB"),
        ]);
    }
    Ok(rows.to_string())
}
