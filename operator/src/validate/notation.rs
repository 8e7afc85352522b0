//! How names, hosts and addresses are written: the patterns of the resource's schema, read by hand, as the operator has no other use
//! for regular expressions.

/// RFC 1123, section 2.1: letters, digits and dashes, no dash at either end, at most 63.
pub(super) fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_dashed(text)
}

/// A host name: labels with dots between them, and no address, which ends in a number.
pub(super) fn is_host(text: &str) -> bool {
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= 253 && text.split('.').all(is_label) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

/// A domain of e-mail addresses, in lower case: at least two labels.
pub(super) fn is_domain(text: &str) -> bool {
    text.len() <= 253 && text.contains('.') && text.split('.').all(is_dashed)
}

/// The name of a Secret, a `StorageClass` or another object.
pub(super) fn is_object_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dashed)
}

/// An origin as browsers send it: a scheme, a host in lower case and an optional port (RFC 6454, section 6.2).
pub(super) fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
    text.len() <= 270 && is_server_with_port(host) && !host.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// A time as Prometheus writes it: a number above zero with one unit.
pub(super) fn is_interval(text: &str) -> bool {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let is_number = !digits.is_empty() && !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= 16 && is_number && ["ms", "s", "m", "h"].contains(&&text[digits.len()..])
}

/// A number of hours or days, in hours.
pub(super) fn hours(text: &str) -> Option<i64> {
    let (number, each) = match text.strip_suffix('d') {
        Some(number) => (number, 24),
        None => (text.strip_suffix('h')?, 1),
    };
    let is_number =
        (1..=5).contains(&number.len()) && !number.starts_with('0') && number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse::<i64>().ok().filter(|_| is_number).map(|number| number * each)
}

/// The port of a URL of a server as a whole, with the scheme http; none where it is no such URL.
pub(super) fn http_port(text: &str) -> Option<u16> {
    url_port(text).filter(|_| text.starts_with("http://"))
}

/// The port of a URL of a server as a whole, of at most 270 characters; none where it is no such URL.
pub(super) fn url_port(text: &str) -> Option<u16> {
    let (usual, authority) = match text.strip_prefix("https://") {
        Some(authority) => (443, authority),
        None => (80, text.strip_prefix("http://")?),
    };
    if text.len() > 270 || !is_base_url(text) {
        return None;
    }
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    // An address of IPv6 has colons of its own, within brackets.
    match authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
        Some((_, port)) => port.parse().ok().filter(|port| *port > 0),
        None => Some(usual),
    }
}

/// A kind of objects.
pub(super) fn is_kind(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// A registry: a host with an optional port, and a path if need be.
pub(super) fn is_registry(text: &str) -> bool {
    let text = text.strip_suffix('/').unwrap_or(text);
    let mut parts = text.split('/');
    let host = parts.next().unwrap_or_default();
    text.len() <= 255 && is_server_with_port(host) && parts.all(is_path_component)
}

/// The same as [`is_server`], with an optional port of at most five digits.
fn is_server_with_port(text: &str) -> bool {
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let is_port = |port: &str| (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    is_server(host) && port.is_none_or(is_port)
}

/// A host name in letters of either case, or an IPv4 address.
pub(super) fn is_server(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    text.len() <= 253 && text.bytes().all(allowed) && has_ends(text, |byte| byte.is_ascii_alphanumeric())
}

/// An e-mail address, or a name with one in angle brackets.
pub(super) fn is_sender(text: &str) -> bool {
    let address = match text.split_once('<') {
        Some((name, address)) if !name.contains(['>', '\r', '\n']) => address.strip_suffix('>'),
        Some(_) => None,
        None => Some(text),
    };
    let is_part =
        |part: &str| !part.is_empty() && !part.contains(|c: char| matches!(c, '<' | '>' | '@') || is_space(c));
    let address = address.and_then(|address| address.split_once('@'));
    text.len() <= 320 && address.is_some_and(|(local, domain)| is_part(local) && is_part(domain))
}

/// A URL of a server as a whole: no user, no path, no query.
pub(super) fn is_base_url(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
    let host = host.strip_suffix('/').unwrap_or(host);
    let is_other = |c: char| matches!(c, '/' | '?' | '#' | '@') || is_space(c);
    text.len() <= 512 && !host.is_empty() && !host.contains(is_other)
}

/// What the keys of objects begin with: parts with single slashes between them.
pub(super) fn is_prefix(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    text.len() <= 200 && text.split('/').all(|part| !part.is_empty() && part.bytes().all(allowed))
}

/// A schedule of cron: five fields of numbers, ranges that go forward, and steps.
pub(super) fn is_schedule(text: &str) -> bool {
    let mut fields = text.split(' ');
    let bounds = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)];
    let all = bounds.into_iter().all(|bounds| fields.next().is_some_and(|field| is_cron_field(field, bounds)));
    text.len() <= 100 && all && fields.next().is_none()
}

fn is_cron_field(text: &str, (least, most): (u8, u8)) -> bool {
    let number = |text: &str| {
        let is_number = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        // Days of the week have one digit.
        let is_short = most > 9 || text.len() == 1;
        text.parse().ok().filter(|number: &u8| is_number && is_short && (least..=most).contains(number))
    };
    let is_step =
        |text: &str| text.parse::<u8>().is_ok_and(|step| (1..=99).contains(&step)) && !text.starts_with(['0', '+']);
    text.split(',').all(|part| {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let is_range = match range.split_once('-') {
            _ if range == "*" => true,
            Some((from, to)) => number(from).zip(number(to)).is_some_and(|(from, to)| from <= to),
            None => number(range).is_some(),
        };
        is_range && step.is_none_or(is_step)
    })
}

/// The id of a project of Google's.
pub(super) fn is_project_id(text: &str) -> bool {
    (6..=30).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|byte| is_lower(byte) || byte == b'-')
        && !text.ends_with('-')
}

/// An index of `OpenSearch`.
pub(super) fn is_index(text: &str) -> bool {
    let begins = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    text.len() <= 200 && begins && text.bytes().all(|byte| is_lower(byte) || matches!(byte, b'-' | b'_' | b'.'))
}

/// A bucket of S3.
pub(super) fn is_bucket(text: &str) -> bool {
    let allowed = |byte: u8| is_lower(byte) || matches!(byte, b'-' | b'.');
    (3..=63).contains(&text.len()) && text.bytes().all(allowed) && has_ends(text, is_lower) && !text.contains("..")
}

/// A region of S3.
pub(super) fn is_region(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=64).contains(&text.len()) && text.bytes().all(allowed) && text.starts_with(|c: char| c.is_ascii_alphanumeric())
}

/// The name of an annotation or a label, with a domain before it if need be.
pub(super) fn is_annotation(text: &str) -> bool {
    let (domain, name) = text.split_once('/').map_or((None, text), |(domain, name)| (Some(domain), name));
    domain.is_none_or(is_object_name) && !name.is_empty() && is_label_value(name)
}

/// The value of a label, which may be empty.
pub(super) fn is_label_value(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    text.is_empty()
        || (text.len() <= 63 && text.bytes().all(allowed) && has_ends(text, |byte| byte.is_ascii_alphanumeric()))
}

/// A part of an image's name: lower-case words with single marks between them.
fn is_path_component(text: &str) -> bool {
    let allowed = |byte: u8| is_lower(byte) || matches!(byte, b'-' | b'_' | b'.');
    text.bytes().all(allowed) && has_ends(text, is_lower)
}

fn is_dashed(text: &str) -> bool {
    text.bytes().all(|byte| is_lower(byte) || byte == b'-') && has_ends(text, is_lower)
}

fn is_lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// Whether a text has a first and a last byte, both of them such.
fn has_ends(text: &str, is_such: impl Fn(u8) -> bool) -> bool {
    let ends = [text.bytes().next(), text.bytes().next_back()];
    ends.into_iter().all(|end| end.is_some_and(&is_such))
}

/// `\s` of RE2, which the schema's patterns are written for.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\x0c' | '\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(is_such: fn(&str) -> bool, good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(is_such(text), "{text:?}");
        }
        for text in bad {
            assert!(!is_such(text), "{text:?}");
        }
    }

    #[test]
    fn a_host_is_labels_with_dots_and_no_address() {
        let long = format!("{}.example.com", "a".repeat(64));
        check(
            is_host,
            &["chat.example.com", "localhost", "a-1.b2", "3com.example"],
            &["", ".", "a.", "-a.b", "a_b.c", "Chat.example.com", "10.0.0.1", "chat.example.com:443", &long],
        );
    }

    #[test]
    fn the_name_of_an_object_is_a_subdomain() {
        check(is_object_name, &["a", "my-secret.v2", "0"], &["", "My", "a_b", "-a", "a-", "a..b", "a/b", "a b"]);
    }

    #[test]
    fn a_kind_begins_with_a_capital_letter() {
        check(is_kind, &["Issuer", "AWSPCAClusterIssuer", "V2"], &["", "issuer", "Cluster-Issuer", "Cluster Issuer"]);
    }

    #[test]
    fn a_registry_is_a_host_with_a_port_and_a_path() {
        check(
            is_registry,
            &["docker.io", "localhost:5000", "registry.example.com/mirror/", "10.0.0.1:5000/a/b_c.d"],
            &["", "/", "https://registry.example", "a b", "r.example:port", "r.example//a", "r/A", "r/a:1", "r/_a"],
        );
    }

    #[test]
    fn a_sender_is_an_address_with_or_without_a_name() {
        check(
            is_sender,
            &["chat@example.com", "Acme Chat <chat@example.com>", "<a@b>"],
            &["", "nobody", "a@", "@b", "a b@c", "a@b@c", "Acme chat@example.com", "A <a@b> c", "A\r\nBcc: x <a@b>"],
        );
    }

    #[test]
    fn a_base_url_names_a_server_and_no_more() {
        check(
            is_base_url,
            &["https://s3.example.com", "http://10.0.0.1:9000/", "https://[::1]:9000"],
            &[
                "",
                "s3.example.com",
                "https://",
                "https://a/bucket",
                "https://a/?x",
                "https://u:p@a",
                "ftp://a",
                "https://a b",
            ],
        );
    }

    #[test]
    fn an_index_begins_with_a_letter_or_digit() {
        check(is_index, &["acme", "acme-messages_1.b", "0"], &["", "-acme", "_acme", "Acme", "a b", "a/b", "a*"]);
    }

    #[test]
    fn a_schedule_has_five_fields_within_their_bounds() {
        check(
            is_schedule,
            &["0 3 * * *", "*/15 0-6/2,12 1,15 */3 1-5", "59 23 31 12 6", "05 03 01 01 0"],
            &[
                "",
                "@daily",
                "0 3 * *",
                "0 3 * * * *",
                "60 3 * * *",
                "0 24 * * *",
                "0 3 0 * *",
                "0 3 * 13 *",
                "0 3 * * 7",
                "0 3 * * MON",
                "0  3 * * *",
                "*/0 3 * * *",
                "5-1 3 * * *",
                "0 3 * * *\n",
                "TZ=UTC 0 3 * * *",
                "0 3 * * 1-",
                "000 3 * * *",
                "+1 3 * * *",
                "*/+5 3 * * *",
            ],
        );
    }

    #[test]
    fn a_prefix_is_parts_with_single_slashes() {
        check(is_prefix, &["a", "backups/acme_1.x"], &["", "/a", "a/", "a//b", "a b", "ä"]);
    }

    #[test]
    fn a_bucket_begins_and_ends_with_a_letter_or_digit() {
        check(is_bucket, &["abc", "my.bucket-1"], &["ab", "-abc", "abc-", "a..b", "Abc", "a_b"]);
    }

    #[test]
    fn an_origin_is_what_browsers_send() {
        check(
            is_origin,
            &["https://app.example.com", "http://localhost:5173", "https://10.0.0.1"],
            &[
                "https://",
                "app.example.com",
                "https://App.example.com",
                "https://a.example/",
                "https://a:port",
                "ftp://a",
                "*",
            ],
        );
    }

    #[test]
    fn an_interval_has_one_unit() {
        check(is_interval, &["30s", "500ms", "1m", "2h"], &["", "30", "s", "030s", "1m30s", "30 s", "1d", "-1s"]);
    }

    #[test]
    fn a_time_between_rotations_is_in_hours_or_days() {
        let read = ["1h", "720h", "90d", "99999d"].map(hours);
        assert_eq!(read, [Some(1), Some(720), Some(2160), Some(2_399_976)]);
        for text in ["", "h", "d", "0d", "01d", "90", "1.5d", "-1d", "+1d", "1d12h", "100000h", "90 d", "30m"] {
            assert_eq!(hours(text), None, "{text}");
        }
    }

    #[test]
    fn a_url_has_the_port_of_its_scheme_unless_it_names_another() {
        let ports =
            ["http://collector:4318/", "http://collector", "http://[fd00::1]", "http://[fd00::1]:9"].map(http_port);
        assert_eq!(ports, [Some(4318), Some(80), Some(80), Some(9)]);
        for text in [
            "https://collector",
            "http://collector:0",
            "http://collector:port",
            "http://collector/v1",
            "collector:4318",
        ] {
            assert_eq!(http_port(text), None, "{text}");
        }
    }

    #[test]
    fn the_value_of_a_label_may_be_empty() {
        let long = "a".repeat(64);
        check(is_label_value, &["", "a", "v1.2_b-C"], &["-a", "a-", "a b", "a/b", &long]);
    }

    #[test]
    fn an_annotation_may_have_a_domain() {
        check(is_annotation, &["a", "example.com/b_C.d"], &["", "/a", "example.com/", "a b", "A_B/c", "a/b/c", "-a"]);
    }
}
