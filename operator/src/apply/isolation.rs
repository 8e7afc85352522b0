//! The order of network policies. One of them closes every pod of the platform, and the others open what has to be open: were the first
//! there without the others for a moment, it would part those that run.

use k8s_openapi::api::networking::v1::NetworkPolicy;

use super::{Applier, Error};

/// Those that open first, then the one that closes.
pub(super) async fn set(
    to: &Applier<'_>,
    wanted: Vec<NetworkPolicy>,
    observed: &[NetworkPolicy],
) -> Result<Vec<NetworkPolicy>, Error> {
    let (closing, opening) = wanted.into_iter().partition(closes);
    let mut applied = to.of().set(opening, observed).await?;
    applied.extend(to.of().set(closing, observed).await?);
    Ok(applied)
}

/// The other way round.
pub(super) async fn prune(to: &Applier<'_>, wanted: &[NetworkPolicy], observed: &[NetworkPolicy]) -> Result<(), Error> {
    let (closing, opening): (Vec<_>, Vec<_>) = observed.iter().cloned().partition(closes);
    to.of().prune(wanted, &closing).await?;
    to.of().prune(wanted, &opening).await
}

/// Whether a policy lets nothing in and nothing out.
fn closes(policy: &NetworkPolicy) -> bool {
    policy.spec.as_ref().is_none_or(|spec| spec.ingress.is_none() && spec.egress.is_none())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::build::network_policy;
    use crate::build::properties::platform;

    #[test]
    fn one_policy_closes_and_all_others_open() {
        let policies = network_policy::build(&platform("acme", &json!({"host": "a.example"})));
        let (closing, opening): (Vec<_>, Vec<_>) = policies.into_iter().partition(closes);
        let names: Vec<_> = closing.iter().filter_map(|policy| policy.metadata.name.as_deref()).collect();
        assert_eq!(names, ["acme-default-deny"]);
        // Of each component, and of the Jobs that migrate databases.
        assert_eq!(opening.len(), 12);
    }
}
