//! How the servers stand to one another, in words that stay the same while nothing happens.

use super::Target;
use crate::provision::State;
use crate::provisioner::{Member, Role};

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Says {
    /// Its version.
    pub(super) version: Option<String>,
    /// What it does.
    pub(super) part: Part,
}

/// What a server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// It reads its data from the disk.
    Loading,
    /// It takes writes.
    Master,
    /// It copies the master; `linked` while the connection by which it does is up and it has everything that was there before.
    Replica { linked: bool },
}

/// Whom a sentinel names as master: host and port.
pub(super) type Master = Option<(String, u16)>;

/// The state of all, from what each server and each sentinel says; nothing from one that does not answer.
pub(super) fn standing(target: &Target, servers: &[Option<Says>], sentinels: &[Option<Master>]) -> State {
    let parts: Vec<(&str, Option<Part>)> = target
        .servers
        .iter()
        .zip(servers)
        .map(|(server, says)| (server.pod.as_str(), says.as_ref().map(|says| says.part)))
        .collect();
    match parts.as_slice() {
        [(pod, part)] if target.sentinels.is_empty() => single(pod, *part),
        _ => several(target, &parts, sentinels),
    }
}

fn single(pod: &str, part: Option<Part>) -> State {
    let (ready, message) = match part {
        Some(Part::Master) => (true, format!("master {pod}")),
        Some(Part::Loading) => (false, format!("{pod} loads its data")),
        Some(Part::Replica { .. }) => (false, format!("{pod} is a replica, and nobody is master: restart it")),
        None => (false, format!("{pod} does not answer")),
    };
    State { ready, message, members: vec![member(pod, ready, part)], ..State::default() }
}

fn several(target: &Target, parts: &[(&str, Option<Part>)], sentinels: &[Option<Master>]) -> State {
    let named: Vec<Option<Option<&str>>> = sentinels
        .iter()
        .map(|answer| answer.as_ref().map(|master| master.as_ref().and_then(|(host, port)| target.pod(host, *port))))
        .collect();
    let votes = |pod: &str| named.iter().filter(|named| **named == Some(Some(pod))).count();
    let master = parts.iter().map(|(pod, _)| *pod).filter(|pod| votes(pod) > 0).max_by_key(|pod| votes(pod));
    let is_master = |pod: &str| master == Some(pod);

    let in_sync = |part: &Option<Part>| *part == Some(Part::Replica { linked: true });
    let replicas: Vec<_> = parts.iter().filter(|(pod, _)| !is_master(pod)).collect();
    let good = replicas.iter().filter(|(_, part)| in_sync(part)).count();
    let bad = replicas.iter().filter(|(_, part)| !in_sync(part)).map(|(pod, part)| (*pod, trouble(*part).to_owned()));

    let votes_of_master = master.map_or(0, votes);
    let apart = target.sentinels.iter().zip(&named).filter_map(|(sentinel, named)| {
        let words = match named {
            Some(Some(pod)) if is_master(pod) => return None,
            Some(Some(pod)) => format!("names {pod}"),
            Some(None) => "names no server of these".to_owned(),
            None => "does not answer".to_owned(),
        };
        Some((sentinel.pod.as_str(), words))
    });

    let part = master.and_then(|master| parts.iter().find(|(pod, _)| *pod == master)).and_then(|(_, part)| *part);
    let first = match (master, part) {
        (None, _) => "no master that sentinels name".to_owned(),
        (Some(pod), Some(Part::Master)) => format!("master {pod}"),
        (Some(pod), Some(Part::Replica { .. })) => format!("master {pod}, which has not taken over yet"),
        (Some(pod), other) => format!("master {pod}, which {}", trouble(other)),
    };
    let replicas_in_sync = if good == replicas.len() {
        format!("{good} replicas in sync")
    } else {
        format!("{good} of {} replicas in sync{}", replicas.len(), listed(bad))
    };
    let sentinels_agree = format!("{votes_of_master} of {} sentinels agree{}", named.len(), listed(apart));
    State {
        // With fewer, the master takes no writes, or nobody could say who it is.
        ready: part == Some(Part::Master) && good > 0 && votes_of_master * 2 > named.len(),
        message: [first, replicas_in_sync, sentinels_agree].join(", "),
        members: parts.iter().map(|(pod, part)| member(pod, is_master(pod), *part)).collect(),
        ..State::default()
    }
}

impl Target {
    /// The pod of the server that is known to others by this address. One of us may leave out the end of a host's name.
    fn pod(&self, host: &str, port: u16) -> Option<&str> {
        let is_meant = |server: &&super::Instance| {
            server.port == port && (begins(&server.host, host) || begins(host, &server.host))
        };
        self.servers.iter().find(is_meant).map(|server| server.pod.as_str())
    }
}

/// Whether a name begins with another, label by label.
fn begins(name: &str, other: &str) -> bool {
    name.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn member(pod: &str, is_master: bool, part: Option<Part>) -> Member {
    let (role, caught_up) = match part {
        Some(Part::Master) if is_master => (Role::Primary, true),
        Some(Part::Replica { linked }) if !is_master => (Role::Secondary, linked),
        _ => (Role::Other, false),
    };
    Member { pod: pod.to_owned(), role, caught_up }
}

/// Why a server is no replica that is in sync.
fn trouble(part: Option<Part>) -> &'static str {
    match part {
        None => "does not answer",
        Some(Part::Loading) => "loads its data",
        Some(Part::Replica { .. }) => "has no link to its master",
        Some(Part::Master) => "is not told yet who is master",
    }
}

/// ` (a: this, b: that)`; nothing for nobody.
fn listed<'a>(troubles: impl Iterator<Item = (&'a str, String)>) -> String {
    let troubles: Vec<String> = troubles.map(|(pod, trouble)| format!("{pod}: {trouble}")).collect();
    if troubles.is_empty() { String::new() } else { format!(" ({})", troubles.join("; ")) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unnecessary_wraps)]

    use secrecy::SecretString;

    use super::*;
    use crate::provision::redis::Instance;
    use crate::secrets::{Login, Names};

    fn target(count: u32) -> Target {
        let names = Names { platform: "acme".to_owned(), namespace: "ns".to_owned(), ..Names::default() };
        let instances = |port| {
            let hosts = names.pods("redis", count).enumerate();
            hosts.map(|(n, host)| Instance { pod: format!("acme-redis-{n}"), host, port }).collect()
        };
        let operator = Login { user: "operator".to_owned(), password: SecretString::from("x") };
        let sentinels = if count > 1 { instances(26379) } else { vec![] };
        Target { servers: instances(6379), sentinels, operator, users: vec![], refused: vec![] }
    }

    fn says(part: Part) -> Option<Says> {
        Some(Says { version: None, part })
    }

    fn names(pod: u32) -> Option<Master> {
        Some(Some((format!("acme-redis-{pod}.acme-redis.ns.svc.cluster.local."), 6379)))
    }

    const IN_SYNC: Part = Part::Replica { linked: true };

    #[test]
    fn three_that_agree_say_so() {
        let servers = [says(IN_SYNC), says(Part::Master), says(IN_SYNC)];
        let state = standing(&target(3), &servers, &[names(1), names(1), names(1)]);
        assert_eq!(state.message, "master acme-redis-1, 2 replicas in sync, 3 of 3 sentinels agree");
        assert!(state.ready);
        let roles: Vec<_> = state.members.iter().map(|member| (member.role, member.caught_up)).collect();
        assert_eq!(roles, [(Role::Secondary, true), (Role::Primary, true), (Role::Secondary, true)]);
    }

    #[test]
    fn a_pod_that_is_away_is_named_and_two_go_on() {
        let servers = [None, says(Part::Master), says(IN_SYNC)];
        let state = standing(&target(3), &servers, &[None, names(1), names(1)]);
        assert_eq!(
            state.message,
            "master acme-redis-1, 1 of 2 replicas in sync (acme-redis-0: does not answer), 2 of 3 sentinels agree (acme-redis-0: \
             does not answer)"
        );
        assert!(state.ready);
    }

    #[test]
    fn while_the_master_is_away_and_nobody_has_followed_it_nothing_is_ready() {
        let link_down = says(Part::Replica { linked: false });
        let servers = [None, link_down.clone(), link_down];
        let state = standing(&target(3), &servers, &[None, names(0), names(0)]);
        assert!(!state.ready);
        assert!(
            state.message.starts_with(
                "master acme-redis-0, which does not answer, 0 of 2 replicas in sync (acme-redis-1: has no"
            )
        );
    }

    #[test]
    fn a_master_without_a_replica_takes_no_writes_and_is_not_ready() {
        let servers = [says(Part::Master), says(Part::Loading), None];
        let state = standing(&target(3), &servers, &[names(0), names(0), None]);
        assert!(!state.ready);
        assert!(
            state.message.contains("(acme-redis-1: loads its data; acme-redis-2: does not answer)"),
            "{}",
            state.message
        );
    }

    #[test]
    fn sentinels_that_name_different_ones_are_no_majority() {
        let servers = [says(Part::Master), says(IN_SYNC), says(Part::Master)];
        let stranger = Some(Some(("elsewhere".to_owned(), 6379)));
        let state = standing(&target(3), &servers, &[names(0), names(2), stranger]);
        assert!(!state.ready);
        assert!(state.message.contains("1 of 3 sentinels agree"), "{}", state.message);
        assert!(state.message.contains("acme-redis-2: names no server of these"), "{}", state.message);
        let state = standing(&target(3), &servers, &[None, Some(None), None]);
        assert!(state.message.starts_with("no master that sentinels name, "), "{}", state.message);
    }

    #[test]
    fn a_single_one_needs_nobody() {
        let state = standing(&target(1), &[says(Part::Master)], &[]);
        assert_eq!((state.ready, state.message.as_str()), (true, "master acme-redis-0"));
        assert!(!standing(&target(1), &[says(Part::Loading)], &[]).ready);
    }
}
