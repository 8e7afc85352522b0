//! Rules of the schema that stand at more than one field, and those that compare a document with the one before it. All of them are
//! CEL (<https://kubernetes.io/docs/reference/using-api/cel/>); each has its twin in `validate`, which also finds what was stored
//! before a rule was there.

use kube::core::{Message, Rule};

use super::backup::RETENTION_MOST;
use super::rotation::EVERY_MOST_HOURS;
use super::settings::{DOMAINS_MOST, ORIGINS_MOST, RATE_MOST, SESSION_LONGEST, UPLOAD_LEAST, UPLOAD_MOST};
use crate::build::{Component, labels};
use crate::validate::default_volume;

/// The least that a container starts with.
pub(crate) const LEAST_MEMORY: &str = "4Mi";
/// The least volume that a server can begin on.
pub(crate) const LEAST_SIZE: &str = "64Mi";

/// RFC 1123: labels of letters, digits and dashes, with dots between them.
const SUBDOMAIN: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*";

/// A scheme, a host in lower case and an optional port, as browsers send it (RFC 6454, section 6.2).
const ORIGIN: &str = "https?://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[0-9]{1,5})?";

/// The name of an object such as `what`.
pub(super) fn object_name(what: &str) -> Rule {
    Rule::new(format!("self.matches('^{SUBDOMAIN}$')"))
        .message(format!("write the name of {what}: lower-case letters, digits, dashes and dots").as_str())
}

/// The name of an object such as `what`, that is a label (RFC 1123).
pub(super) fn label(what: &str) -> Rule {
    Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message(format!("write the name of {what}: lower-case letters, digits and dashes").as_str())
}

/// A URL of a server as a whole.
pub(super) fn base_url(example: &str) -> Rule {
    Rule::new(r"self.matches('^https?://[^/?#@\\s]+/?$')")
        .message(format!("write a URL without user, path and query, such as {example}").as_str())
}

/// An `OpenSearch` is described where it is used, and only there.
pub(super) fn opensearch_where_it_is_asked_for() -> Rule {
    Rule::new("has(self.openSearch) == (has(self.backend) && self.backend == 'OpenSearch')")
        .message("openSearch goes with backend: OpenSearch, and is needed there: write both, or neither")
        .field_path(".openSearch")
}

/// The region of a bucket.
pub(super) fn region() -> Rule {
    Rule::new("self.matches('^[A-Za-z0-9][-A-Za-z0-9_]*$')")
        .message("write the region of the bucket, such as eu-central-1, or leave region out")
}

/// A bucket of S3.
pub(super) fn bucket() -> Rule {
    Rule::new("self.matches('^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$') && !self.contains('..')")
        .message("write a bucket of 3 to 63 lower-case letters, digits, dots and dashes")
}

/// A schedule of cron. Whether a range goes forward is for the operator to say.
pub(super) fn schedule() -> Rule {
    let field = |number: &str| {
        let item = format!("([*]|({number})(-({number}))?)(/[1-9][0-9]?)?");
        format!("{item}(,{item})*")
    };
    let fields = ["[0-5]?[0-9]", "[01]?[0-9]|2[0-3]", "0?[1-9]|[12][0-9]|3[01]", "0?[1-9]|1[0-2]", "[0-6]"].map(field);
    Rule::new(format!("self.matches('^{}$')", fields.join(" "))).message(SCHEDULE_CURE)
}

/// What is to be done about a schedule.
pub(crate) const SCHEDULE_CURE: &str = "write minute, hour, day of month, month and day of week (0 to 6, from Sunday on) in numbers with single spaces between them, such as 0 3 * * *";

/// How many backups are kept.
pub(super) fn retention() -> Rule {
    Rule::new(format!("self >= 1 && self <= {RETENTION_MOST}"))
        .message(format!("write how many backups are kept, from 1 to {RETENTION_MOST}").as_str())
}

/// Backups of the platform's own set alone.
pub(super) fn no_backup_of_others() -> Rule {
    Rule::new("!has(self.spec.backup) || !has(self.spec.mongodb) || !has(self.spec.mongodb.external)")
        .message(
            "spec.backup needs a MongoDB of the platform's own: leave it out, as who runs the external one backs it up",
        )
        .field_path(".spec.backup")
}

/// CPU.
pub(super) fn cpu() -> Rule {
    Rule::new("quantity(string(self)).isGreaterThan(quantity('0'))")
        .message("write an amount of CPU above zero, such as 500m or 2")
}

/// Memory. The `m` of CPU is the mistake that is made: thousandths of a byte.
pub(super) fn memory() -> Rule {
    at_least(LEAST_MEMORY, "an amount of memory", "256Mi")
}

/// The size of a volume.
pub(super) fn size() -> Rule {
    at_least(LEAST_SIZE, "a size", "10Gi")
}

fn at_least(least: &str, what: &str, example: &str) -> Rule {
    Rule::new(format!("quantity(string(self)).compareTo(quantity('{least}')) >= 0"))
        .message(format!("write {what} of at least {least}, such as {example}").as_str())
}

/// Origins (RFC 6454), or all of them. What is wrong with a list would be told without a value.
pub(super) fn origins() -> Rule {
    let fits = format!("origin == '*' || origin.matches('^{ORIGIN}$')");
    let cure = format!(
        "is no origin: write at most {ORIGINS_MOST} such as https://app.example.com, each without path, or * for every page"
    );
    // Their number and length are bounds of the schema, without which the rule would cost too much.
    Rule::new(format!("self.all(origin, {fits})"))
        .message(Message::Expression(format!("self.filter(origin, !({fits}))[0] + ' {cure}'")))
}

/// Domains of addresses. What would be wrong with a list would be told without a value.
pub(super) fn email_domains() -> Rule {
    let fits = "domain.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)+$')";
    let cure = format!("is no domain: write at most {DOMAINS_MOST} in lower case, such as acme.example");
    Rule::new(format!("self.all(domain, {fits})"))
        .message(Message::Expression(format!("self.filter(domain, !({fits}))[0] + ' {cure}'")))
}

/// A session that is not used does not outlast one that is.
pub(super) fn idle_within_longest() -> Rule {
    let hours = |text: &str| format!("int({text}.substring(0, {text}.size() - 1)) * ({text}.endsWith('d') ? 24 : 1)");
    let is_time = |text: &str| format!("{text}.matches('^[0-9]{{1,5}}[hd]$')");
    let longest = format!("(has(self.longest) ? self.longest : '{SESSION_LONGEST}')");
    // What is no time is told of at its own field.
    let (idle, either) = (hours("self.idle"), format!("!{} || !{}", is_time("self.idle"), is_time(&longest)));
    let cure = format!("raise longest, which is {SESSION_LONGEST} where it is left out, or lower idle");
    Rule::new(format!("!has(self.idle) || {either} || {idle} <= {}", hours(&longest)))
        .message(format!("idle is more than longest: {cure}").as_str())
        .field_path(".idle")
}

/// Requests.
pub(super) fn rate() -> Rule {
    Rule::new(format!("self >= 1 && self <= {RATE_MOST}"))
        .message(format!("write a number of requests from 1 to {RATE_MOST}").as_str())
}

/// The size of a file.
pub(super) fn upload_size() -> Rule {
    let within = |bound: &str| format!("quantity(string(self)).compareTo(quantity('{bound}'))");
    Rule::new(format!("{} >= 0 && {} <= 0", within(UPLOAD_LEAST), within(UPLOAD_MOST)))
        .message(format!("write a size from {UPLOAD_LEAST} to {UPLOAD_MOST}, such as 250Mi").as_str())
}

/// A time between two of something, as Prometheus writes it.
pub(super) fn interval() -> Rule {
    Rule::new("self.matches('^[1-9][0-9]*(ms|s|m|h)$')")
        .message("write a number with one unit of ms, s, m or h, such as 30s")
}

/// A time between two rotations.
pub(super) fn every() -> Rule {
    let number = "int(self.substring(0, self.size() - 1))";
    Rule::new(format!(
        "self.matches('^[1-9][0-9]{{0,4}}[hd]$') && {number} * (self.endsWith('d') ? 24 : 1) <= {EVERY_MOST_HOURS}"
    ))
    .message(
        format!("write a number of hours or days from 1h to {}d, such as 720h or 90d", EVERY_MOST_HOURS / 24).as_str(),
    )
}

/// The number of a rotation.
pub(super) fn revision() -> Rule {
    Rule::new("self >= 0").message("write a number from 0 on, one higher for each rotation")
}

/// A limit that is not below the request of the same `amount`.
pub(super) fn limit_holds_request(amount: &str) -> Rule {
    let (request, limit) = (format!("self.requests.{amount}"), format!("self.limits.{amount}"));
    // What is no quantity is told of at its own field.
    let rule = format!(
        "!has(self.requests) || !has({request}) || !has(self.limits) || !has({limit}) || !isQuantity(string({request})) || \
         !isQuantity(string({limit})) || quantity(string({request})).compareTo(quantity(string({limit}))) <= 0"
    );
    // Amounts of the message would be counted as if they were as long as a whole request, for each of many components.
    let message = format!("limits.{amount} is below requests.{amount}: raise the limit or lower the request");
    Rule::new(rule).message(message.as_str()).field_path(format!(".limits.{amount}"))
}

/// Pods whose number one alone decides: the document, or an autoscaler.
pub(super) fn scaled_by_one() -> Rule {
    excluding("!has(self.replicas) || !has(self.autoscaling)")
}

/// The same where one pod stands in each document that says nothing of their number, and so cannot be told from what was written.
pub(super) fn scaled_by_one_or_by_default() -> Rule {
    excluding("!has(self.replicas) || !has(self.autoscaling) || self.replicas == 1")
}

fn excluding(rule: &str) -> Rule {
    let cure = "leave replicas out, as autoscaling.minReplicas is the fewest, or leave autoscaling out";
    Rule::new(rule)
        .message(format!("replicas excludes autoscaling, since one alone can say how many pods run: {cure}").as_str())
        .field_path(".replicas")
}

/// Names that are the operator's own, of labels or annotations of pods.
pub(super) fn not_ours(what: &str) -> Rule {
    let ours: Vec<String> = labels::OWN.iter().map(|name| format!("!('{name}' in self)")).collect();
    let domain = labels::DOMAIN;
    Rule::new(format!("{} && self.all(name, !name.startsWith('{domain}'))", ours.join(" && "))).message(
        format!(
            "{} and all that begin with {domain} are the operator's own: leave them out, or give the {what} another name",
            labels::OWN.join(", ")
        )
        .as_str(),
    )
}

/// Values of labels.
pub(super) fn label_values() -> Rule {
    Rule::new("self.all(name, self[name].matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$'))").message(
        "write values of at most 63 letters, digits, dashes, underscores and dots, with a letter or digit at both ends",
    )
}

/// Servers that can be added and not be taken away, as `why` says; one where nothing is written.
pub(super) fn never_fewer(component: &str, why: &str) -> Rule {
    let replicas = |document: &str| format!("{document}.spec.?{component}.?replicas.orValue(1)");
    Rule::new(format!(
        "self.spec.?{component}.?external.hasValue() || {} >= {}",
        replicas("self"),
        replicas("oldSelf")
    ))
    .message(
        format!(
            "spec.{component}.replicas cannot shrink, and is 1 when it is left out: {why}, so put the old number back"
        )
        .as_str(),
    )
    .field_path(format!(".spec.{component}.replicas"))
}

/// A number that asks for a rotation and so only grows.
pub(super) fn never_lower(keys: &str) -> Rule {
    let revision = |document: &str| format!("{document}.spec.?rotation.?{keys}.?revision.orValue(0)");
    let message = format!(
        "spec.rotation.{keys}.revision cannot be lowered, and is 0 when it is left out: put the old number back, or write a higher one to rotate"
    );
    Rule::new(format!("{} >= {}", revision("self"), revision("oldSelf")))
        .message(message.as_str())
        .field_path(format!(".spec.rotation.{keys}.revision"))
}

/// Volumes that can grow and not shrink, also by leaving out what was written.
pub(super) fn never_smaller(component: Component) -> Rule {
    let (path, default) = (volumes(component), default_volume(component));
    let size = |document: &str| text_or(document, &format!("spec.{path}.storage.size"), default);
    let (new, old) = (size("self"), size("oldSelf"));
    // Equal first: a size from before there were rules may be none, and every write to the document, the status too, passes here.
    Rule::new(format!(
        "{}{new} == {old} || quantity({new}).compareTo(quantity({old})) >= 0",
        unless_external(component)
    ))
    .message(
        format!(
            "spec.{path}.storage.size cannot shrink once the volumes exist, and is {default} when it is left out: put the old size back, or write a larger one"
        )
        .as_str(),
    )
    .field_path(format!(".spec.{path}.storage.size"))
}

/// Volumes that stay in their class.
pub(super) fn same_class(component: Component) -> Rule {
    let path = volumes(component);
    let field = format!("spec.{path}.storage.className");
    let (new, old) = (is_there("self", &field), is_there("oldSelf", &field));
    let same = format!("({new}) == ({old}) && (!({new}) || self.{field} == oldSelf.{field})");
    Rule::new(format!("{}{same}", unless_external(component)))
        .message(
            format!(
                "spec.{path}.storage.className cannot change once the volumes exist: put the old class back, or make a new platform and move the data"
            )
            .as_str(),
        )
        .field_path(format!(".spec.{path}.storage.className"))
}

/// Data that do not move by themselves from here to there or back.
pub(super) fn same_owner(component: &str, data: &str) -> Rule {
    let external = |document: &str| format!("{document}.spec.?{component}.?external.hasValue()");
    Rule::new(format!("{} == {}", external("self"), external("oldSelf")))
        .message(
            format!(
                "spec.{component}.external cannot be set or removed once the platform exists, since {data} do not move by themselves: put it back as it was, or make a new platform"
            )
            .as_str(),
        )
        .field_path(format!(".spec.{component}.external"))
}

/// A release that is not before the one that runs. Who corrects a release that never came to run may go back.
pub(super) fn no_older_release() -> Rule {
    let [new, old] = ["self.spec.version", "self.status.version"].map(|version| {
        format!("{} * 1000000000000 + {} * 1000000 + {}", part(version, 0), part(version, 1), part(version, 2))
    });
    release(
        &format!("{new} >= {old}"),
        "is older than ' + self.status.version + ', which runs, and data may already have a newer form: write ' + self.status.version + ' or newer'",
    )
}

/// A release that is not beyond the next minor one of the one that runs.
pub(super) fn no_skipped_release() -> Rule {
    let [major, minor] = [0, 1].map(|place| (part("self.spec.version", place), part("self.status.version", place)));
    release(
        &format!("{} <= {} + 1 && ({} != {} || {} <= {} + 1)", major.0, major.1, major.0, major.1, minor.0, minor.1),
        "skips a release after ' + self.status.version + ', which runs: go to the next minor release first'",
    )
}

fn release(rule: &str, message: &str) -> Rule {
    // Only a change of it is looked at, so that a status can be written whatever it says.
    let unchanged = "has(oldSelf.spec.version) && oldSelf.spec.version == self.spec.version";
    Rule::new(format!(
        "!has(self.spec.version) || !has(self.status) || !has(self.status.version) || ({unchanged}) || \
         !self.spec.version.matches('{RELEASE}') || !self.status.version.matches('{RELEASE}') || ({rule})"
    ))
    .message(Message::Expression(format!("'spec.version ' + self.spec.version + ' {message}")))
    .field_path(".spec.version")
}

/// Three numbers, as Semantic Versioning writes them.
pub(super) const RELEASE: &str = "^(0|[1-9][0-9]{0,5})[.](0|[1-9][0-9]{0,5})[.](0|[1-9][0-9]{0,5})$";

fn part(version: &str, place: usize) -> String {
    format!("int({version}.split('.')[{place}])")
}

/// A series of `MongoDB` that is not beyond the next. Whether the next can be reached, or the one before, is for the operator to say,
/// who knows what the members run.
pub(super) fn no_skipped_series(default: &str) -> Rule {
    series(default, (6, 8), "a server reads the data of the series before its own alone. Write a patch of 7.0 first")
}

/// The same, back.
pub(super) fn no_series_far_back(default: &str) -> Rule {
    let cure = "no server reads the data of a later series. Write a patch of 8.0; to go back, restore a backup into a new platform";
    series(default, (8, 6), cure)
}

fn series(default: &str, (from, to): (u8, u8), cure: &str) -> Rule {
    let version = |document: &str| text_or(document, "spec.mongodb.version", default);
    let (new, old) = (version("self"), version("oldSelf"));
    // The versions in the message would be counted as if they were as long as a whole request.
    let message = format!("spec.mongodb.version cannot go from {from}.0 to {to}.0: {cure}");
    Rule::new(format!("!({old}.startsWith('{from}.') && {new}.startsWith('{to}.'))"))
        .message(message.as_str())
        .field_path(".spec.mongodb.version")
}

/// A platform in hibernation stays at its version of `MongoDB`: a server takes up the data of the one before by running, so that two
/// changes in a row would skip one.
pub(super) fn no_upgrade_asleep(default: &str) -> Rule {
    Rule::new(format!("!({}) || {}", is_set("self", "hibernated"), stays("spec.mongodb.version", default)))
        .message("spec.mongodb.version cannot change while spec.hibernated is true, since no server runs that would take up the data: put the old version back, or set hibernated to false with the same change")
        .field_path(".spec.mongodb.version")
}

/// A paused platform keeps its deletion policy: a deletion would follow the one before, and whoever had just asked for Retain would lose
/// the data.
pub(super) fn same_policy_while_paused() -> Rule {
    Rule::new(format!("!({}) || {}", is_set("self", "paused"), stays("spec.deletionPolicy", "Retain")))
        .message("spec.deletionPolicy cannot change while spec.paused is true, since a deletion would still follow the old one: put it back, or set paused to false with the same change")
        .field_path(".spec.deletionPolicy")
}

/// Whether a switch below `spec` is on.
fn is_set(document: &str, switch: &str) -> String {
    format!("has({document}.spec.{switch}) && {document}.spec.{switch}")
}

/// Whether a text is what it was, left out meaning its default. Field is compared with field or word: what a condition chooses among is
/// counted as if it were as long as a whole request.
fn stays(path: &str, default: &str) -> String {
    let (is, was) = (is_there("self", path), is_there("oldSelf", path));
    let either = format!("({was} ? self.{path} == oldSelf.{path} : self.{path} == '{default}')");
    format!("({is} ? {either} : (!({was}) || oldSelf.{path} == '{default}'))")
}

/// A field as text, or what it is when it is left out. Written with `has`: an optional value is counted as if it were as long as a
/// whole request.
fn text_or(document: &str, path: &str, default: &str) -> String {
    format!("({} ? string({document}.{path}) : '{default}')", is_there(document, path))
}

/// Whether a field is there, and all that it is in.
fn is_there(document: &str, path: &str) -> String {
    let ends = path.match_indices('.').map(|(end, _)| end).skip(1).chain([path.len()]);
    let there: Vec<String> = ends.map(|end| format!("has({document}.{})", &path[..end])).collect();
    there.join(" && ")
}

/// Where the volumes of a component are written of, below `spec`.
fn volumes(component: Component) -> &'static str {
    match component {
        Component::MongoDb => "mongodb",
        Component::Redis => "redis",
        Component::RabbitMq => "rabbitmq",
        _ => "objectStorage.managed",
    }
}

/// What a server had of its own goes when somebody else's takes its place, where that is allowed.
fn unless_external(component: Component) -> String {
    let path = volumes(component).split('.').next().unwrap_or_default();
    format!("self.spec.?{path}.?external.hasValue() || oldSelf.spec.?{path}.?external.hasValue() || ")
}
