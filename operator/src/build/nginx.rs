//! What the two Nginx servers, the edge and the web client's, have in common.

/// The start of every configuration: one that runs without root, on a read-only file system, and logs JSON to standard output.
pub const HEAD: &str = r#"pid /tmp/nginx.pid;
error_log /dev/stderr warn;
worker_processes 2;
events {
    worker_connections 8192;
}
http {
    client_body_temp_path /tmp/client_body;
    proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi;
    scgi_temp_path /tmp/scgi;
    server_tokens off;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 65s;
"#;

/// The types of what a web client is made of; an image's own mime.types may lie elsewhere or nowhere.
pub const TYPES: &str = r"    types {
        text/html html;
        text/css css;
        text/javascript js mjs;
        application/json json map;
        application/manifest+json webmanifest;
        application/wasm wasm;
        image/svg+xml svg;
        image/png png;
        image/jpeg jpg jpeg;
        image/webp webp;
        image/x-icon ico;
        font/woff2 woff2;
        text/plain txt;
    }
    default_type application/octet-stream;
";

/// What every Nginx is started with. The log of errors is named here too, as one in the image's place is opened before the
/// configuration is read.
pub const COMMAND: [&str; 7] =
    ["nginx", "-e", "/dev/stderr", "-c", "/etc/nginx-config/nginx.conf", "-g", "daemon off;"];
/// The folder of the configuration, apart from the image's own /etc/nginx.
pub const CONFIG: &str = "/etc/nginx-config";
