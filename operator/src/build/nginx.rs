//! What the two Nginx servers, the edge and the web client's, have in common.

use super::stop::{KEEP_IDLE_SECONDS, SETTLE_SECONDS, Work};

/// What every Nginx is started with: [`serve`].
pub const COMMAND: [&str; 2] = ["sh", "/etc/nginx-config/serve.sh"];
/// The folder of the configuration, apart from the image's own /etc/nginx.
pub const CONFIG: &str = "/etc/nginx-config";
/// The file of its configuration there.
pub const SETTINGS: &str = "nginx.conf";
/// The file of what starts and stops it.
pub const SERVE: &str = "serve.sh";
/// The configuration of the edge, with `@NAME@` where a value goes.
pub const EDGE: &str = include_str!("nginx/edge.conf");
/// A part of it, for an edge that people reach by themselves.
pub const DIRECT: &str = include_str!("nginx/direct.conf");
/// A part of it, for an edge behind a controller that terminates TLS.
pub const BEHIND_PROXY: &str = include_str!("nginx/behind_proxy.conf");
/// The configuration of the web client's server, with `@NAME@` where a value goes.
pub const WEB: &str = include_str!("nginx/web.conf");

/// What starts Nginx, and stops it. The log of errors is named there too, as one in the image's place is opened before the configuration is
/// read.
#[must_use]
pub fn serve() -> String {
    fill(include_str!("nginx/serve.sh"), [("SETTLE_SECONDS", SETTLE_SECONDS.to_string())])
}

/// A configuration with its values, and with the times of the stop of a server that has such work in hand.
#[must_use]
pub fn render<const N: usize>(template: &str, work: Work, values: [(&str, String); N]) -> String {
    let times =
        [("DRAIN_SECONDS", work.drain_seconds().to_string()), ("KEEP_IDLE_SECONDS", KEEP_IDLE_SECONDS.to_string())];
    fill(&fill(template, values), times)
}

fn fill<const N: usize>(template: &str, values: [(&str, String); N]) -> String {
    values.into_iter().fold(template.to_owned(), |text, (name, value)| text.replace(&format!("@{name}@"), &value))
}
