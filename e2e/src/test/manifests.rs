//! What people apply, checked without a cluster.

mod monitoring;
mod reasons;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize as _;
use serde_yaml::Value;

use super::{Bench, Tally};
use crate::command::Run;
use crate::offline::go;

/// Values that are right without saying anything.
const DEFAULTS: &str = "values.yaml";
/// Values that switch everything on.
const EVERYTHING: &str = "ci/everything-values.yaml";

pub(super) fn run(bench: &Bench) -> Result<Tally> {
    let helm = go::ensure(&bench.cache, &bench.progress, &go::HELM)?;
    let (charts, examples) = (charts(&bench.root)?, files(&bench.root.join("examples"), "yaml")?);
    let mut total = Tally::default();
    for chart in charts {
        let name = chart.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let render = |values: &str| {
            let run = Run::new(&helm).args(["template", "release", "--include-crds"]).arg(&chart);
            run.arg("--values").arg(chart.join(values)).output()
        };
        for values in [DEFAULTS, EVERYTHING] {
            total += check(bench, &format!("chart {name} with {values} has no faults"), || {
                let run = Run::new(&helm).args(["lint", "--strict"]).arg(&chart);
                run.arg("--values").arg(chart.join(values)).execute()
            });
            total += check(bench, &format!("chart {name} with {values} renders objects"), || {
                let text = render(values)?;
                be_objects(&text)?;
                reasons::be_beside_every_rule(&text)
            });
        }
        total += check(bench, &format!("chart {name} with {EVERYTHING} uses every template"), || {
            every_template_renders(&chart, &render(EVERYTHING)?)
        });
        total += check(bench, &format!("chart {name} refuses a value that it does not know"), || {
            let run = Run::new(&helm).args(["template", "release"]).arg(&chart);
            ensure!(!run.args(["--set", "monitoring.nonsense=true"]).succeeds(), "it renders");
            Ok(())
        });
        total += check(bench, &format!("alerts and dashboards of {name} ask for metrics that are there"), || {
            let page = fs::read_to_string(bench.root.join("docs/reference/metrics.md"))?;
            monitoring::agrees(&render(EVERYTHING)?, &page)
        });
        total += check(bench, &format!("chart {name} asks for a Role alone where it is for one namespace"), || {
            let values = ["--set", "watchNamespace=team"];
            have_no_rights_elsewhere(&Run::new(&helm).args(["template", "release"]).arg(&chart).args(values).output()?)
        });
    }
    for example in examples {
        let name = example.file_name().unwrap_or_default().to_string_lossy().into_owned();
        total += check(bench, &format!("example {name} holds objects"), || be_objects(&fs::read_to_string(&example)?));
    }
    Ok(total)
}

fn check(bench: &Bench, name: &str, test: impl FnOnce() -> Result<()>) -> Tally {
    match test() {
        Ok(()) => Tally::passed(),
        Err(error) => {
            bench.progress.say(format!("FAILED {name}: {error:#}"));
            Tally::failed()
        }
    }
}

/// Each template adds something once everything is switched on.
fn every_template_renders(chart: &Path, text: &str) -> Result<()> {
    for template in files(&chart.join("templates"), "yaml")? {
        let name = template.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mark = format!("/templates/{name}");
        ensure!(
            text.lines().any(|line| line.starts_with("# Source: ") && line.ends_with(&mark)),
            "{name} adds nothing"
        );
    }
    Ok(())
}

/// Every document has what Kubernetes needs to know an object by.
fn be_objects(text: &str) -> Result<()> {
    let mut count = 0;
    for document in serde_yaml::Deserializer::from_str(text) {
        let object = Value::deserialize(document)?;
        if object.is_null() {
            continue;
        }
        for field in ["apiVersion", "kind"] {
            if object.get(field).and_then(Value::as_str).is_none() {
                bail!("an object has no {field}: {object:?}");
            }
        }
        if object.get("metadata").and_then(|metadata| metadata.get("name")).is_none() {
            bail!("an object has no name: {object:?}");
        }
        count += 1;
    }
    if count == 0 {
        bail!("there is no object in it");
    }
    Ok(())
}

/// No object gives rights in every namespace, and some give rights in this one.
fn have_no_rights_elsewhere(text: &str) -> Result<()> {
    let mut roles = 0;
    for document in serde_yaml::Deserializer::from_str(text) {
        let object = Value::deserialize(document)?;
        match object.get("kind").and_then(Value::as_str) {
            Some(kind @ ("ClusterRole" | "ClusterRoleBinding")) => bail!("there is a {kind}"),
            Some("Role") => roles += 1,
            _ => {}
        }
    }
    if roles == 0 {
        bail!("there is no Role");
    }
    Ok(())
}

fn charts(root: &Path) -> Result<Vec<PathBuf>> {
    let folder = root.join("charts");
    let mut charts: Vec<PathBuf> = fs::read_dir(&folder)
        .with_context(|| format!("cannot list {}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("Chart.yaml").exists())
        .collect();
    charts.sort();
    if charts.is_empty() {
        bail!("there is no chart in {}", folder.display());
    }
    Ok(charts)
}

fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .with_context(|| format!("cannot list {}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    if files.is_empty() {
        bail!("there is no .{extension} file in {}", folder.display());
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_right_in_every_namespace_is_a_fault_and_so_is_none() {
        have_no_rights_elsewhere("kind: Role\n---\nkind: Deployment\n").unwrap();
        assert!(have_no_rights_elsewhere("kind: Role\n---\nkind: ClusterRoleBinding\n").is_err());
        assert!(have_no_rights_elsewhere("kind: Deployment\n").is_err());
    }

    #[test]
    fn a_document_without_a_kind_is_a_fault_and_an_empty_one_is_not() {
        be_objects("---\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: a}\n").unwrap();
        let error = be_objects("apiVersion: v1\nmetadata: {name: a}\n").unwrap_err().to_string();
        assert!(error.starts_with("an object has no kind"), "{error}");
        assert!(be_objects("# nothing\n").is_err());
    }
}
