//! Which version of the server may follow which.
//!
//! A server reads the data of the series before its own and of no other, and writes a form that no earlier one reads as soon as the
//! feature compatibility version is raised (manual, "Upgrade a Replica Set to 7.0"). Within a series any patch reads what any other
//! has written.

/// The series that this operator runs, each the only way to the next.
const SERIES: [(u64, u64); 3] = [(6, 0), (7, 0), (8, 0)];

/// A version of the server, three numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Release {
    major: u64,
    minor: u64,
    patch: u64,
}

impl Release {
    /// Reads three numbers with dots between them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| part.parse().ok()).flatten()
        });
        let release = Self { major: parts.next()??, minor: parts.next()??, patch: parts.next()?? };
        parts.next().is_none().then_some(release)
    }

    /// The first number.
    #[must_use]
    pub fn major(self) -> u64 {
        self.major
    }

    /// The first two numbers, as the feature compatibility version is written.
    #[must_use]
    pub fn series(self) -> String {
        format!("{}.{}", self.major, self.minor)
    }

    fn place(self) -> Option<usize> {
        SERIES.iter().position(|series| *series == (self.major, self.minor))
    }
}

/// Checks that the server may be of version `to`, where its data were last served by version `from`; says why not and what may be.
/// Who does not know a `from` has no data yet, or data of a version that is no release.
pub fn path(from: Option<&str>, to: &str) -> Result<(), String> {
    let Some(wanted) = Release::parse(to) else {
        return Err(format!("{to:?} is no version of MongoDB: write three numbers, such as 6.0.5"));
    };
    let Some(place) = wanted.place() else {
        return Err(format!("{to} is of none of the series that this operator runs: write a patch of {}", all()));
    };
    let Some((from, before)) = from.and_then(|text| Some((text, Release::parse(text)?))) else { return Ok(()) };
    let Some(now) = before.place() else {
        return Err(format!(
            "{to} cannot follow {from}, which runs and is of none of the series that this operator runs: keep {from}"
        ));
    };
    if place == now || place == now + 1 {
        return Ok(());
    }
    let stay = before.series();
    let onward = SERIES.get(now + 1).map(|(major, minor)| format!("{major}.{minor}"));
    let allowed = onward.as_ref().map_or_else(|| stay.clone(), |next| format!("{stay} or {next}"));
    Err(if place < now {
        format!(
            "{to} cannot follow {from}, which runs: no server reads the data of a later series. \
             Write a patch of {allowed}; to go back, restore a backup into a new platform"
        )
    } else {
        format!(
            "{to} cannot follow {from}, which runs: a server reads the data of the series before its own alone. \
             Write a patch of {allowed} first"
        )
    })
}

fn all() -> String {
    SERIES.map(|(major, minor)| format!("{major}.{minor}")).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_patch_of_the_same_series_and_of_the_next_may_follow() {
        for (from, to) in [
            ("6.0.5", "6.0.5"),
            ("6.0.5", "6.0.19"),
            ("6.0.19", "6.0.5"),
            ("6.0.5", "7.0.0"),
            ("7.0.14", "8.0.3"),
            ("8.0.3", "8.0.1"),
        ] {
            assert_eq!(path(Some(from), to), Ok(()), "{from} to {to}");
        }
    }

    #[test]
    fn a_refusal_names_both_versions_and_what_may_follow() {
        for (from, to, allowed) in [
            ("6.0.5", "8.0.1", "6.0 or 7.0 first"),
            ("7.0.2", "6.0.5", "7.0 or 8.0"),
            ("8.0.1", "7.0.2", "8.0;"),
            ("8.0.1", "6.0.5", "8.0;"),
        ] {
            let why = path(Some(from), to).err().unwrap_or_default();
            assert!(why.contains(from) && why.contains(to) && why.contains(allowed), "{from} to {to}: {why}");
        }
    }

    #[test]
    fn a_series_that_nobody_upgrades_through_is_refused_with_those_that_are_run() {
        for to in ["5.0.14", "6.1.0", "7.3.4", "8.2.0", "9.0.0"] {
            let why = path(None, to).err().unwrap_or_default();
            assert!(why.contains(to) && why.contains("6.0, 7.0, 8.0"), "{why}");
        }
        let why = path(Some("5.0.14"), "6.0.5").err().unwrap_or_default();
        assert!(why.contains("keep 5.0.14"), "{why}");
    }

    #[test]
    fn a_version_is_three_numbers() {
        for to in ["6", "6.0", "6.0.5.1", "v6.0.5", "6.0.5-rc0", "", "6..5", "6.0.+5"] {
            assert!(path(None, to).is_err_and(|why| why.contains("three numbers")), "{to}");
        }
    }

    #[test]
    fn a_new_set_may_be_of_any_series_that_is_run() {
        for to in ["6.0.5", "7.0.14", "8.0.3"] {
            assert_eq!(path(None, to), Ok(()));
        }
        assert_eq!(path(Some("latest"), "6.0.5"), Ok(()), "an image whose tag tells nothing");
    }
}
