//! What the service counts, beside what every service does.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::{counter::Counter, family::Family};
use runtime::metrics::Metrics;

/// The counters; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Notifications stored.
    pub notifications_stored: Counter,
    /// E-mails.
    pub email: Sending,
    /// Notifications on the way to devices.
    pub push: Sending,
    refusals: Family<Refusal, Counter>,
}

/// What one way of sending counts.
#[derive(Clone, Debug, Default)]
pub struct Sending {
    /// What the server has taken.
    pub sent: Counter,
    /// Tries that failed and are repeated.
    pub failures: Counter,
    /// What is not going to be sent.
    pub given_up: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refusal {
    reason: String,
}

impl Counters {
    /// Counters that `/metrics` shows.
    #[must_use]
    pub fn registered(metrics: &Metrics) -> Self {
        let counters = Self::default();
        let Self { notifications_stored, email, push, refusals } = counters.clone();
        metrics.register("notifications_stored", "Notifications stored", notifications_stored);
        metrics.register("emails_sent", "E-mails taken by the mail server", email.sent);
        metrics.register("email_failures", "Tries to send an e-mail that failed", email.failures);
        metrics.register("emails_given_up", "E-mails that are not going to be sent", email.given_up);
        metrics.register("pushes_sent", "Notifications pushed to all devices of their users", push.sent);
        metrics.register("push_failures", "Tries to push a notification that failed", push.failures);
        metrics.register("pushes_given_up", "Notifications that are not going to be pushed", push.given_up);
        metrics.register("push_refusals", "Messages to a device that Firebase did not take", refusals);
        counters
    }

    /// Firebase did not take a message to a device.
    pub(crate) fn refused_push(&self, reason: &str) {
        self.refusals.get_or_create(&Refusal { reason: reason.to_owned() }).inc();
    }
}
