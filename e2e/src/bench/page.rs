//! The page of the book that keeps what was measured: each section has a part between two marks that a run replaces.

use std::fs;
use std::path::PathBuf;
use std::thread::available_parallelism;

use anyhow::{Context as _, Result};

use crate::source;

const PAGE: &str = "docs/reference/benchmarks.md";

/// Writes a table into the section `name`; answers the page's path.
pub(super) fn write(name: &str, table: &str) -> Result<PathBuf> {
    let path = source::root()?.join(PAGE);
    let page = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let part = format!("Measured on {} by `cargo e2e bench {name}`:\n\n{table}", machine());
    let page = with_part(&page, name, &part).with_context(|| {
        format!("{PAGE} has no part between <!-- {name}: begin --> and <!-- {name}: end -->: put these lines back")
    })?;
    fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// The page with another part between the marks of a name.
fn with_part(page: &str, name: &str, part: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}{}\n{end}{after}", part.trim_end()))
}

/// `2 cores with 24 GiB`
fn machine() -> String {
    let cores = available_parallelism().map_or(1, Into::into);
    let memory = fs::read_to_string("/proc/meminfo").ok().and_then(|text| gibibytes(&text));
    let memory = memory.map(|memory| format!(" with {memory} GiB")).unwrap_or_default();
    format!("{cores} cores{memory}")
}

/// Rounded, for the kernel keeps some of it to itself.
fn gibibytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find(|line| line.starts_with("MemTotal:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some((kibibytes + 512 * 1024) / 1024 / 1024)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use clap::ValueEnum as _;

    use super::super::Subject;
    use super::*;

    #[test]
    fn only_the_part_between_the_marks_changes() {
        let page = "# Page\n<!-- data: begin -->\nold\n<!-- data: end -->\nmore\n";
        let new = with_part(page, "data", "new\n").unwrap();
        assert_eq!(new, "# Page\n<!-- data: begin -->\nnew\n<!-- data: end -->\nmore\n");
        assert_eq!(with_part(&new, "data", "new").unwrap(), new);
        assert_eq!(with_part(page, "other", "new"), None);
    }

    #[test]
    fn the_page_of_the_book_has_the_marks() {
        let page = fs::read_to_string(source::root().unwrap().join(PAGE)).unwrap();
        for subject in Subject::value_variants() {
            assert!(with_part(&page, subject.name(), "").is_some(), "{}", subject.name());
        }
    }

    #[test]
    fn memory_is_rounded_to_what_was_built_in() {
        assert_eq!(gibibytes("MemTotal:       24689764 kB\nMemFree: 1 kB\n"), Some(24));
    }
}
