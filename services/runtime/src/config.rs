//! Settings: an embedded default file, overridden by the environment, checked as a whole.
//!
//! `CHATPLATFORM_<SECTION>__<KEY>` overrides `<key>` of `[<section>]`; deeper tables add more `__`. Secrets never stand in
//! settings, only the paths of the files that hold them.

use std::{collections::BTreeMap, fmt};

use serde::de::DeserializeOwned;

mod overlay;
mod sections;

pub use sections::{Log, MongoDb, ObjectStorage, RabbitMq, Redis, Server, Tokens, file_fault, url_fault};

/// One thing that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which setting, as in the file: `section.key`.
    pub key: String,
    /// What a person has to change.
    pub message: String,
}

impl Fault {
    /// A fault of `key`.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.key, overlay::variable(&self.key), self.message)
    }
}

/// A part of the settings that can check itself once it has been read.
pub trait Section {
    /// Everything that is wrong with it, with keys relative to it. A service's whole settings are a section too: it puts
    /// its parts together with [`faults_of`].
    fn faults(&self) -> Vec<Fault>;
}

/// The faults of several named sections, in order.
#[must_use]
pub fn faults_of(sections: &[(&str, &dyn Section)]) -> Vec<Fault> {
    let within = |name: &str, fault: Fault| Fault { key: format!("{name}.{}", fault.key), ..fault };
    sections
        .iter()
        .flat_map(|(name, section)| section.faults().into_iter().map(move |fault| within(name, fault)))
        .collect()
}

/// Why the settings cannot be used: all faults at once.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The embedded file is at fault, which only a developer can have done.
    #[error("the embedded default settings are faulty: {0}")]
    Defaults(String),
    /// Settings are at fault.
    #[error("{}", list(.0))]
    Faults(Vec<Fault>),
}

fn list(faults: &[Fault]) -> String {
    let lines: Vec<_> = faults.iter().map(|fault| format!("\n  - {fault}")).collect();
    let noun = if faults.len() == 1 { "setting is" } else { "settings are" };
    format!("{} {noun} at fault:{}", faults.len(), lines.concat())
}

/// The settings from the embedded `defaults` (TOML) and the process's environment.
pub fn load<S: DeserializeOwned + Section>(defaults: &str) -> Result<S, ConfigError> {
    load_from(
        defaults,
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
    )
}

/// The settings from the embedded `defaults` (TOML) and the given variables.
pub fn load_from<S: DeserializeOwned + Section>(
    defaults: &str,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<S, ConfigError> {
    let defaults: toml::Table =
        defaults.parse().map_err(|error: toml::de::Error| ConfigError::Defaults(error.to_string()))?;
    let overrides: BTreeMap<_, _> =
        variables.into_iter().filter_map(|(name, value)| Some((overlay::key(&name)?, value))).collect();
    let (settings, mut faults) = overlay::read::<S>(&defaults, overrides)?;
    faults.extend(settings.faults());
    // A value that could not be read was put back to its default; what the default lacks is no fault of its own.
    let mut seen = std::collections::BTreeSet::new();
    faults.retain(|fault| seen.insert(fault.key.clone()));
    if faults.is_empty() { Ok(settings) } else { Err(ConfigError::Faults(faults)) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::SocketAddr;

    use serde::Deserialize;

    use super::*;

    const DEFAULTS: &str = r#"
        [server]
        listen = "0.0.0.0:8080"
        admin_listen = "0.0.0.0:9090"
        drain_seconds = 20
        [log]
        filter = "info"
        [garden]
        name = ""
        beds = [1, 2]
        ratio = 0.5
    "#;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        server: Server,
        log: Log,
        garden: Garden,
        shed: Option<Shed>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Garden {
        name: String,
        beds: Vec<u8>,
        ratio: f64,
        fence: Option<String>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Shed {
        width: u32,
        colour: String,
    }

    impl Section for Settings {
        fn faults(&self) -> Vec<Fault> {
            faults_of(&[("server", &self.server), ("log", &self.log), ("garden", &self.garden)])
        }
    }

    impl Section for Garden {
        fn faults(&self) -> Vec<Fault> {
            if self.name.is_empty() { vec![Fault::new("name", "must be set")] } else { vec![] }
        }
    }

    fn load_with(variables: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        load_from(DEFAULTS, variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    fn faulty_keys(variables: &[(&str, &str)]) -> Vec<String> {
        match load_with(variables).unwrap_err() {
            ConfigError::Faults(faults) => faults.into_iter().map(|fault| fault.key).collect(),
            other @ ConfigError::Defaults(_) => panic!("{other}"),
        }
    }

    #[test]
    fn the_environment_overrides_the_defaults_in_the_type_of_each_setting() {
        let settings = load_with(&[
            ("CHATPLATFORM_GARDEN__NAME", "17"),
            ("CHATPLATFORM_GARDEN__BEDS", "3,4"),
            ("CHATPLATFORM_GARDEN__RATIO", "2"),
            ("CHATPLATFORM_GARDEN__FENCE", "8"),
            ("CHATPLATFORM_SERVER__LISTEN", "127.0.0.1:1"),
            ("CHATPLATFORM_SERVER__DRAIN_SECONDS", "5"),
            ("CHATPLATFORM_GATEWAY_PORT", "tcp://10.0.0.1:8080"),
            ("PATH", "/bin"),
        ])
        .unwrap();
        assert_eq!(settings.garden.name, "17");
        assert_eq!(settings.garden.beds, [3, 4]);
        assert!((settings.garden.ratio - 2.0).abs() < f64::EPSILON);
        assert_eq!(settings.garden.fence.as_deref(), Some("8"));
        assert_eq!(settings.server.listen, "127.0.0.1:1".parse::<SocketAddr>().unwrap());
        assert_eq!(settings.server.drain_seconds, 5);
        assert_eq!(settings.server.admin_listen.port(), 9090);
        assert!(settings.shed.is_none());
        assert_eq!(settings.log.filter, "info");
    }

    #[test]
    fn a_section_without_defaults_comes_from_the_environment_alone() {
        let shed = load_with(&[
            ("CHATPLATFORM_GARDEN__NAME", "east"),
            ("CHATPLATFORM_SHED__WIDTH", "3"),
            ("CHATPLATFORM_SHED__COLOUR", "red"),
        ])
        .unwrap()
        .shed
        .unwrap();
        assert_eq!((shed.width, shed.colour.as_str()), (3, "red"));
    }

    #[test]
    fn all_faults_are_listed_at_once() {
        let keys = faulty_keys(&[
            ("CHATPLATFORM_SERVER__LISTEN", "nowhere"),
            ("CHATPLATFORM_SERVER__DRAIN_SECONDS", "soon"),
            ("CHATPLATFORM_GARDEN__BEDS", "1,many"),
            ("CHATPLATFORM_LOG__FILTER", "=a=b=,,"),
        ]);
        for key in ["server.listen", "server.drain_seconds", "garden.beds", "garden.name", "log.filter"] {
            assert!(keys.contains(&key.to_owned()), "{key} is missing in {keys:?}");
        }
        assert_eq!(keys.len(), 5, "{keys:?}");
    }

    #[test]
    fn a_misspelt_setting_is_a_fault_that_names_the_variable() {
        let error = load_with(&[("CHATPLATFORM_GARDEN__NAME", "east"), ("CHATPLATFORM_SERVER__LISTNE", "x")])
            .unwrap_err()
            .to_string();
        assert!(error.contains("server.listne (CHATPLATFORM_SERVER__LISTNE)"), "{error}");
        assert_eq!(faulty_keys(&[("CHATPLATFORM_GARDEN__NAME", "east"), ("CHATPLATFORM_GRADEN__NAME", "x")]).len(), 1);
    }

    #[test]
    fn half_a_section_is_a_fault_that_says_what_is_missing() {
        let error = load_with(&[("CHATPLATFORM_GARDEN__NAME", "east"), ("CHATPLATFORM_SHED__WIDTH", "3")])
            .unwrap_err()
            .to_string();
        assert!(error.contains("shed") && error.contains("colour"), "{error}");
    }
}
