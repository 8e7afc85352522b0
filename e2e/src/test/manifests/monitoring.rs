//! What a chart asks Prometheus for, beside the page that lists what there is. The operator's own tests keep that page true.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

/// How the names of all metrics begin.
const PREFIX: &str = "chatplatform_operator_";

/// Every metric that rendered objects ask for is on the page, every one on the page is asked for, and the alerts are those of the page.
pub(super) fn agrees(rendered: &str, page: &str) -> Result<()> {
    let there: BTreeSet<&str> = rows(page).filter(|name| name.starts_with(PREFIX)).collect();
    let asked: BTreeSet<&str> = words(rendered).filter(|word| word.starts_with(PREFIX)).map(metric).collect();
    ensure!(asked == there, "asked for and not there, or the reverse: {:?}", asked.symmetric_difference(&there));
    let told: BTreeSet<&str> = rows(page).filter(|name| !name.starts_with(PREFIX)).collect();
    let alerts: BTreeSet<&str> = rendered.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    ensure!(alerts == told, "alerts that the page does not tell of, or the reverse: {alerts:?} and {told:?}");
    Ok(())
}

/// The first cells of tables, where they are names.
fn rows(page: &str) -> impl Iterator<Item = &str> {
    page.lines().filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !character.is_ascii_alphanumeric() && character != '_')
}

/// The metric that a series belongs to.
fn metric(series: &str) -> &str {
    ["_bucket", "_sum", "_count"].iter().find_map(|suffix| series.strip_suffix(suffix)).unwrap_or(series)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const PAGE: &str = "| name | type |\n|---|---|\n| `chatplatform_operator_runs_total` | counter |\n\
                        | `chatplatform_operator_took_seconds` | histogram |\n\n| alert |\n|---|\n| `Slow` |\n";

    #[test]
    fn what_is_asked_for_must_be_there() {
        let took = "rate(chatplatform_operator_took_seconds_bucket[5m])";
        let right = format!("- alert: Slow\n  expr: {took}\nsum(chatplatform_operator_runs_total)");
        agrees(&right, PAGE).unwrap();
        let misspelt = right.replace("runs", "run");
        assert!(agrees(&misspelt, PAGE).unwrap_err().to_string().contains("run_total"));
        let unknown = right.replace("Slow", "Slower");
        assert!(agrees(&unknown, PAGE).unwrap_err().to_string().contains("Slower"));
    }
}
