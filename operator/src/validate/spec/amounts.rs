//! CPU and memory of a pod.

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource;

use super::{Checker, path};
use crate::api::{self, LEAST_MEMORY, Quantity, quantity};
use crate::build::Component;
use crate::validate::defaults;

impl Checker<'_> {
    /// Requests and limits with the defaults filled in, and the limit of memory in MiB.
    pub(super) fn resources(
        &mut self,
        component: Component,
        resources: Option<&api::Resources>,
    ) -> (ResourceRequirements, u64) {
        let field = format!("{}.resources", path(component));
        let resources = resources.cloned().unwrap_or_default();
        let (requests, limits) = (resources.requests.unwrap_or_default(), resources.limits.unwrap_or_default());
        for (part, amounts) in [("requests", &requests), ("limits", &limits)] {
            self.amount(format!("{field}.{part}.cpu"), amounts.cpu.as_ref(), None);
            self.amount(format!("{field}.{part}.memory"), amounts.memory.as_ref(), Some(LEAST_MEMORY));
        }
        let default = defaults::amounts(component);
        let (cpu, _) = self.pair(&format!("{field}.limits.cpu"), requests.cpu, limits.cpu.as_ref(), default.cpu);
        let limit = limits.memory.or_else(|| {
            // Who asks for more than the default limit means to have it.
            let least = Quantity::new(default.memory_limit);
            Some(requests.memory.clone().filter(|wanted| wanted.milli() > least.milli()).unwrap_or(least))
        });
        let (memory, limit) =
            self.pair(&format!("{field}.limits.memory"), requests.memory, limit.as_ref(), default.memory);
        let entry = |name: &str, amount: Quantity| (name.to_owned(), resource::Quantity(amount.to_string()));
        let mebibytes = limit.as_ref().and_then(Quantity::mebibytes).unwrap_or_default();
        let requirements = ResourceRequirements {
            requests: Some([entry("cpu", cpu), entry("memory", memory)].into()),
            limits: Some(
                limits
                    .cpu
                    .map(|cpu| entry("cpu", cpu))
                    .into_iter()
                    .chain(limit.map(|limit| entry("memory", limit)))
                    .collect(),
            ),
            ..ResourceRequirements::default()
        };
        (requirements, mebibytes)
    }

    /// An amount that is above zero, and not below the `least` of memory.
    fn amount(&mut self, field: String, amount: Option<&Quantity>, least: Option<&str>) {
        let Some(amount) = amount else { return };
        let fits = |amount: i128| amount > 0 && least.and_then(quantity::milli).is_none_or(|least| amount >= least);
        if !amount.milli().is_some_and(fits) {
            let cure = least.map_or_else(
                || "write an amount of CPU above zero, such as 500m or 2".to_owned(),
                |least| format!("write an amount of memory of at least {least}, such as 256Mi"),
            );
            self.fault(field, format!("{:?} is no such amount: {cure}", amount.as_str()));
        }
    }

    /// A request, or its default lowered to the limit, and the limit.
    fn pair(
        &mut self,
        field: &str,
        request: Option<Quantity>,
        limit: Option<&Quantity>,
        default: &str,
    ) -> (Quantity, Option<Quantity>) {
        let above = |amount: &Quantity| limit.is_some_and(|limit| amount.milli() > limit.milli());
        if let Some(request) = request.as_ref().filter(|request| above(request)) {
            let message =
                format!("{} is below the request of {request}: raise the limit or lower the request", text(limit));
            self.fault(field, message);
        }
        let default = Quantity::new(default);
        let default = if above(&default) { limit.cloned().unwrap_or(default) } else { default };
        (request.unwrap_or(default), limit.cloned())
    }
}

fn text(quantity: Option<&Quantity>) -> &str {
    quantity.map_or("none", Quantity::as_str)
}
