//! What the service counts, beside what every service does.

use prometheus_client::metrics::counter::Counter;
use runtime::metrics::Metrics;

/// The counters; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Notifications stored.
    pub notifications_stored: Counter,
    /// E-mails the mail server has taken.
    pub emails_sent: Counter,
    /// Tries that failed and are repeated.
    pub email_failures: Counter,
    /// E-mails that are not going to be sent.
    pub emails_given_up: Counter,
}

impl Counters {
    /// Counters that `/metrics` shows.
    #[must_use]
    pub fn registered(metrics: &Metrics) -> Self {
        let counters = Self::default();
        metrics.register("notifications_stored", "Notifications stored", counters.notifications_stored.clone());
        metrics.register("emails_sent", "E-mails taken by the mail server", counters.emails_sent.clone());
        metrics.register("email_failures", "Tries to send an e-mail that failed", counters.email_failures.clone());
        metrics.register("emails_given_up", "E-mails that are not going to be sent", counters.emails_given_up.clone());
        counters
    }
}
