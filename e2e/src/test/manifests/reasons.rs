//! Rights, and why they are given.

use anyhow::{Result, ensure};

/// Every rule of a role stands under a comment that says what it is for.
pub(super) fn be_beside_every_rule(text: &str) -> Result<()> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let rules = lines.windows(2).filter(|pair| pair[1].starts_with("- apiGroups:"));
    for pair in rules {
        ensure!(pair[0].starts_with('#'), "a rule stands without its reason: {}", pair[1]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_rule_without_a_reason_is_a_fault() {
        be_beside_every_rule("rules:\n  # To read.\n  - apiGroups: [apps]\n    verbs: [get]\n").unwrap();
        let bare = "rules:\n  # To read.\n  - apiGroups: [apps]\n    verbs: [get]\n  - apiGroups: [batch]\n";
        let error = be_beside_every_rule(bare).unwrap_err().to_string();
        assert!(error.contains("[batch]"), "{error}");
    }
}
