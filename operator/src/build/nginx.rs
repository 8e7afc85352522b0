//! What the two Nginx servers, the edge and the web client's, have in common.

/// What every Nginx is started with. The log of errors is named here too, as one in the image's place is opened before the
/// configuration is read.
pub const COMMAND: [&str; 7] =
    ["nginx", "-e", "/dev/stderr", "-c", "/etc/nginx-config/nginx.conf", "-g", "daemon off;"];
/// The folder of the configuration, apart from the image's own /etc/nginx.
pub const CONFIG: &str = "/etc/nginx-config";
/// The configuration of the edge, with `@NAME@` where a value goes.
pub const EDGE: &str = include_str!("nginx/edge.conf");
/// A part of it, for an edge that people reach by themselves.
pub const DIRECT: &str = include_str!("nginx/direct.conf");
/// A part of it, for an edge behind a controller that terminates TLS.
pub const BEHIND_PROXY: &str = include_str!("nginx/behind_proxy.conf");
/// The configuration of the web client's server, with `@NAME@` where a value goes.
pub const WEB: &str = include_str!("nginx/web.conf");

/// A configuration with its values.
#[must_use]
pub fn render<const N: usize>(template: &str, values: [(&str, String); N]) -> String {
    values.into_iter().fold(template.to_owned(), |text, (name, value)| text.replace(&format!("@{name}@"), &value))
}
