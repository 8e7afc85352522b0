//! How the broker does: its nodes, what its queues could bear, and what keeps it from taking messages.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::Deserialize;
use serde_json::Value;

use super::Target;
use super::api::Api;
use crate::provision::Error;
use crate::provisioner::{Member, Role};

/// What is known of the broker.
#[derive(Debug, PartialEq)]
pub(super) struct Health {
    /// Whether all of it is there, and takes messages.
    pub(super) ready: bool,
    /// For people.
    pub(super) message: String,
    /// The nodes, as pods.
    pub(super) members: Vec<Member>,
}

#[derive(Clone, Debug, Deserialize)]
struct Node {
    name: String,
    running: bool,
    /// Nodes that it does not see, though they run.
    #[serde(default)]
    partitions: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Queue {
    name: String,
    /// Nodes on which a quorum queue has a member; other kinds have none.
    #[serde(default)]
    members: Vec<String>,
    #[serde(default)]
    online: Vec<String>,
}

impl Queue {
    /// Whether more than half of its members are there.
    fn has_quorum(&self) -> bool {
        2 * self.online.len() > self.members.len()
    }

    /// Whether it would still have its quorum with one member less.
    fn is_safe(&self) -> bool {
        2 * self.online.len().saturating_sub(1) > self.members.len()
    }

    fn is_online(&self, node: &str) -> bool {
        self.online.iter().any(|online| online == node)
    }
}

/// What keeps a node from taking messages.
#[derive(Clone, Debug, Deserialize)]
struct Alarm {
    node: String,
    resource: String,
}

#[derive(Default, Deserialize)]
struct Alarms {
    #[serde(default)]
    alarms: Vec<Alarm>,
}

/// Asks the broker how it does.
pub(super) async fn health(api: &Api, target: &Target) -> Result<Health, Error> {
    let nodes: Vec<Node> = api.get("tell its nodes", "nodes").await?;
    // By way of a map: a broker that keeps statistics says some of it twice.
    let queues: Vec<Value> = api.get("tell its queues", &format!("queues/{}", target.virtual_host)).await?;
    let queues: Vec<Queue> = queues.into_iter().filter_map(|queue| serde_json::from_value(queue).ok()).collect();
    let Alarms { alarms } = api.check("tell its alarms", "health/checks/alarms").await?;
    Ok(judge(&target.nodes, &nodes, &queues, &alarms))
}

fn judge(wanted: &[String], nodes: &[Node], queues: &[Queue], alarms: &[Alarm]) -> Health {
    let queues: Vec<&Queue> = queues.iter().filter(|queue| !queue.members.is_empty()).collect();
    let running: BTreeSet<&str> = nodes.iter().filter(|node| node.running).map(|node| node.name.as_str()).collect();
    let known: BTreeSet<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    let all: BTreeSet<&str> = wanted.iter().map(String::as_str).chain(known.iter().copied()).collect();

    let mut said = vec![format!("{} of {} nodes run", running.len(), all.len())];
    let (several, safe) = (all.len() > 1, queues.iter().filter(|queue| queue.is_safe()).count());
    if several && !queues.is_empty() {
        said.push(match safe {
            all if all == queues.len() => format!("quorum of {safe} queues safe"),
            _ => format!("quorum of {safe} of {} queues safe", queues.len()),
        });
    }
    let mut faults = Vec::new();
    for node in &all {
        if !known.contains(node) {
            faults.push(format!("{} has not joined yet", pod(node)));
        } else if !running.contains(node) {
            faults.push(format!("{} is down", pod(node)));
        }
    }
    for node in nodes.iter().filter(|node| !node.partitions.is_empty()) {
        let others: Vec<_> = node.partitions.iter().map(|other| pod(other)).collect();
        faults.push(format!("{} is parted from {}", pod(&node.name), others.join(" and ")));
    }
    for queue in queues.iter().filter(|queue| !queue.has_quorum()) {
        let Queue { name, members, online } = queue;
        let count = format!("{} of its {} members are there", online.len(), members.len());
        faults.push(format!("queue {name} has lost its quorum: {count}"));
    }
    for node in &running {
        let without = queues.iter().filter(|queue| !queue.is_online(node)).count();
        if several && without > 0 {
            faults.push(format!("{without} queues have no member on {} yet", pod(node)));
        }
    }
    for Alarm { node, resource } in alarms {
        let cure = match resource.as_str() {
            "memory" => "raise spec.rabbitmq.resources.limits.memory",
            "disk" => "raise spec.rabbitmq.storage.size",
            _ => "look at its log",
        };
        faults.push(format!("{} blocks publishers for want of {resource}: {cure}", pod(node)));
    }
    let members = all.iter().map(|node| Member {
        pod: pod(node).to_owned(),
        // Every node takes messages; who leads a queue is found by the server itself.
        role: if running.contains(node) { Role::Primary } else { Role::Other },
        caught_up: running.contains(node) && queues.iter().all(|queue| queue.is_online(node)),
    });
    let members = if several { members.collect() } else { vec![] };
    let ready = !running.is_empty() && faults.is_empty();
    let message = [said.join(", ")].into_iter().chain(faults).collect::<Vec<_>>().join("; ");
    Health { ready, message, members }
}

/// The pod of a node: the first part of its host's name.
fn pod(node: &str) -> &str {
    let host = node.split_once('@').map_or(node, |(_, host)| host);
    match host.parse::<IpAddr>() {
        Ok(_) => node,
        Err(_) => host.split_once('.').map_or(host, |(pod, _)| pod),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(ordinal: usize) -> String {
        format!("rabbit@acme-rabbitmq-{ordinal}.acme-rabbitmq.chat.svc")
    }

    fn names(ordinals: &[usize]) -> Vec<String> {
        ordinals.iter().copied().map(name).collect()
    }

    fn nodes(known: &[usize], running: &[usize]) -> Vec<Node> {
        let node =
            |ordinal: &usize| Node { name: name(*ordinal), running: running.contains(ordinal), partitions: vec![] };
        known.iter().map(node).collect()
    }

    fn queue(members: &[usize], online: &[usize]) -> Queue {
        Queue { name: "notification.events".to_owned(), members: names(members), online: names(online) }
    }

    fn said(health: &Health) -> (bool, &str) {
        (health.ready, &health.message)
    }

    #[test]
    fn one_node_alone_is_whole() {
        let health = judge(&names(&[0]), &nodes(&[0], &[0]), &[queue(&[0], &[0])], &[]);
        assert_eq!(said(&health), (true, "1 of 1 nodes run"));
        assert_eq!(health.members, []);
        assert!(!judge(&names(&[0]), &[], &[], &[]).ready);
    }

    #[test]
    fn three_nodes_whose_queues_are_everywhere_can_bear_the_loss_of_one() {
        let all = [0, 1, 2];
        let health = judge(&names(&all), &nodes(&all, &all), &[queue(&all, &all), queue(&all, &all)], &[]);
        assert_eq!(said(&health), (true, "3 of 3 nodes run, quorum of 2 queues safe"));
        assert_eq!(health.members.len(), 3);
        assert!(health.members.iter().all(|member| member.caught_up && member.role == Role::Primary));
        assert_eq!(health.members[1].pod, "acme-rabbitmq-1");
    }

    #[test]
    fn a_node_that_is_down_is_named_and_so_is_what_that_means() {
        let all = [0, 1, 2];
        let health = judge(&names(&all), &nodes(&all, &[0, 2]), &[queue(&all, &[0, 2])], &[]);
        let message = "2 of 3 nodes run, quorum of 0 of 1 queues safe; acme-rabbitmq-1 is down";
        assert_eq!(said(&health), (false, message));
        assert_eq!(health.members[1].role, Role::Other);
        let health = judge(&names(&all), &nodes(&all, &[0]), &[queue(&all, &[0])], &[]);
        assert!(health.message.contains("queue notification.events has lost its quorum: 1 of its 3 members are there"));
    }

    #[test]
    fn a_node_that_is_new_is_waited_for_until_it_has_all_queues() {
        let all = [0, 1, 2];
        let health = judge(&names(&all), &nodes(&[0, 1], &[0, 1]), &[queue(&[0], &[0])], &[]);
        let message = "2 of 3 nodes run, quorum of 0 of 1 queues safe; acme-rabbitmq-2 has not joined yet; \
                       1 queues have no member on acme-rabbitmq-1 yet";
        assert_eq!(said(&health), (false, message));
        assert_eq!(health.members.iter().map(|member| member.caught_up).collect::<Vec<_>>(), [true, false, false]);
    }

    #[test]
    fn alarms_and_partitions_are_told_with_their_cure() {
        let alarm = Alarm { node: name(0), resource: "memory".to_owned() };
        let health = judge(&names(&[0]), &nodes(&[0], &[0]), &[], &[alarm]);
        assert!(!health.ready);
        let cure = "acme-rabbitmq-0 blocks publishers for want of memory: raise spec.";
        assert!(health.message.contains(cure), "{}", health.message);

        let mut parted = nodes(&[0, 1], &[0, 1]);
        parted[0].partitions = names(&[1]);
        let health = judge(&names(&[0, 1]), &parted, &[], &[]);
        assert!(health.message.contains("acme-rabbitmq-0 is parted from acme-rabbitmq-1"), "{}", health.message);
    }
}
