//! How many pods run, and who says so.

use super::{Checker, path};
use crate::api;
use crate::build::Component;
use crate::validate::platform::{Autoscaling, Workload};

/// Percent of the requested CPU, as Kubernetes' own autoscalers have it.
const CPU_PERCENT: i32 = 80;

impl Checker<'_> {
    /// The pods, or the fewest of them and what an autoscaler goes by.
    pub(super) fn scaling(&mut self, component: Component, workload: &api::Workload) -> (i32, Option<Autoscaling>) {
        let field = path(component);
        let Some(autoscaling) = &workload.autoscaling else {
            let replicas = workload.replicas.unwrap_or(1);
            self.within(format!("{field}.replicas"), replicas, (1, 20), "of pods");
            return (replicas, None);
        };
        // One pod of chat stands in each document that says nothing of their number: it cannot be told from what was written.
        let written = workload.replicas.filter(|replicas| component != Component::Chat || *replicas != 1);
        if let Some(replicas) = written {
            let cure = "leave replicas out, as autoscaling.minReplicas is the fewest, or leave autoscaling out";
            let message = format!("{replicas} excludes autoscaling, since one alone can say how many pods run: {cure}");
            self.fault(format!("{field}.replicas"), message);
        }
        let field = format!("{field}.autoscaling");
        let (fewest, most) = (autoscaling.min_replicas.unwrap_or(1), autoscaling.max_replicas);
        self.within(format!("{field}.minReplicas"), fewest, (1, 20), "of pods");
        self.within(format!("{field}.maxReplicas"), most, (1, 20), "of pods");
        if fewest > most && autoscaling.min_replicas.is_some() {
            let message = format!("minReplicas {fewest} is above maxReplicas {most}: lower the one or raise the other");
            self.fault(format!("{field}.minReplicas"), message);
        }
        let cpu_percent = autoscaling.target_cpu_utilization.unwrap_or(CPU_PERCENT);
        self.within(format!("{field}.targetCPUUtilization"), cpu_percent, (1, 1000), "of percent of the requested CPU");
        if let Some(behavior) = &autoscaling.behavior {
            self.rules(&format!("{field}.behavior.scaleUp"), behavior.scale_up.as_ref());
            self.rules(&format!("{field}.behavior.scaleDown"), behavior.scale_down.as_ref());
        }
        (fewest, Some(Autoscaling { most, cpu_percent, connections: None, behavior: autoscaling.behavior.clone() }))
    }

    /// The chat service, of whose autoscaler more can be said.
    pub(super) fn chat(&mut self, chat: api::Chat) -> Workload {
        let connections = chat.autoscaling.as_ref().and_then(|autoscaling| autoscaling.target_connections);
        if let Some(connections) = connections {
            self.within("spec.chat.autoscaling.targetConnections".into(), connections, (1, 100_000), "of sockets");
        }
        let written = api::Workload {
            replicas: chat.replicas,
            resources: chat.resources,
            pod_template: chat.pod_template,
            autoscaling: chat.autoscaling.map(|autoscaling| autoscaling.autoscaling),
        };
        let mut workload = self.workload(Component::Chat, Some(&written));
        if let Some(autoscaling) = &mut workload.autoscaling {
            autoscaling.connections = connections;
        }
        workload
    }

    fn rules(&mut self, field: &str, rules: Option<&api::ScalingRules>) {
        let Some(rules) = rules else { return };
        if let Some(window) = rules.stabilization_window_seconds {
            self.within(format!("{field}.stabilizationWindowSeconds"), window, (0, 3600), "of seconds");
        }
        if rules.policies.len() > 8 {
            self.fault(format!("{field}.policies"), format!("{} are too many: write at most 8", rules.policies.len()));
        }
        for (place, policy) in rules.policies.iter().enumerate() {
            let field = format!("{field}.policies[{place}]");
            self.within(format!("{field}.value"), policy.value, (1, 1000), "of pods or percent");
            self.within(format!("{field}.periodSeconds"), policy.period_seconds, (1, 1800), "of seconds");
        }
    }

    /// A number within bounds.
    pub(super) fn within(&mut self, field: String, number: i32, (least, most): (i32, i32), of: &str) {
        if !(least..=most).contains(&number) {
            self.fault(field, format!("{number} is out of range: write a number {of} from {least} to {most}"));
        }
    }
}
