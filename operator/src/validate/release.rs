//! Which release may follow which.

/// A release, three numbers.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Release {
    major: u64,
    minor: u64,
    patch: u64,
}

impl Release {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| {
            let digits = (1..=6).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
            let leads_with_zero = part.len() > 1 && part.starts_with('0');
            (digits && !leads_with_zero).then(|| part.parse().ok()).flatten()
        });
        let release = Self { major: parts.next()??, minor: parts.next()??, patch: parts.next()?? };
        parts.next().is_none().then_some(release)
    }
}

/// The lowest of releases; what is none is left out.
pub(super) fn lowest<'a>(releases: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    releases.filter(|release| Release::parse(release).is_some()).min_by_key(|release| Release::parse(release))
}

/// Checks that `wanted` is a release that this `operator` knows and that may follow `running`; says why not.
pub(super) fn check(wanted: &str, running: Option<&str>, operator: &str) -> Result<(), String> {
    let Some(release) = Release::parse(wanted) else {
        return Err(format!("{wanted:?} is no release: write three numbers, such as {operator}"));
    };
    if Release::parse(operator).is_some_and(|newest| release > newest) {
        return Err(format!(
            "{wanted} is newer than this operator, {operator}: upgrade the operator first, or write {operator}"
        ));
    }
    let Some(before) = running.and_then(Release::parse) else { return Ok(()) };
    if release < before {
        return Err(format!(
            "{wanted} is older than {}, which runs: its data may already have a newer form. Write {} or newer",
            before.text(),
            before.text()
        ));
    }
    if release.major > before.major + 1 || (release.major == before.major && release.minor > before.minor + 1) {
        return Err(format!(
            "{wanted} skips a release after {}, which runs: go to {}.{} first",
            before.text(),
            before.major,
            before.minor + 1
        ));
    }
    Ok(())
}

impl Release {
    fn text(self) -> String {
        format!("{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::{check, lowest};

    #[test]
    fn the_next_minor_release_and_any_patch_may_follow() {
        for wanted in ["1.2.3", "1.2.9", "1.3.0"] {
            assert_eq!(check(wanted, Some("1.2.3"), "1.3.0"), Ok(()), "{wanted}");
        }
    }

    #[test]
    fn older_skipping_unknown_and_malformed_releases_are_refused() {
        for (wanted, word) in [
            ("1.2.2", "older"),
            ("1.4.0", "skips"),
            ("1.5.0", "newer"),
            ("1.2", "no release"),
            ("v1.2.3", "no release"),
            ("1.02.3", "no release"),
            ("1.2.1000000", "no release"),
        ] {
            let why = check(wanted, Some("1.2.3"), "1.4.0").err().unwrap_or_default();
            assert!(why.contains(word), "{wanted}: {why}");
        }
    }

    #[test]
    fn releases_are_compared_number_by_number() {
        assert_eq!(lowest(["0.10.0", "0.9.11", "latest", "0.9.2"].into_iter()), Some("0.9.2"));
        assert_eq!(lowest(["latest"].into_iter()), None);
    }

    #[test]
    fn a_new_platform_may_start_with_any_known_release() {
        assert_eq!(check("1.0.0", None, "1.4.0"), Ok(()));
    }
}
