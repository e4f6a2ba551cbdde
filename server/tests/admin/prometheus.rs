//! The alert rules for Prometheus and the dashboard for Grafana: valid, and of metrics that there
//! are.

use serde_json::Value;
use std::collections::BTreeSet;
use testkit::admin::start;
use testkit::directory::TempDirectory;
use testkit::http::get;
use testkit::tools::program;

const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/prometheus-alerts.yml");
const DASHBOARD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/grafana-dashboard.json");

#[test]
fn the_alert_rules_are_valid() {
    check_rules(RULES);
}

#[test]
fn the_queries_of_the_dashboard_are_valid() {
    let directory = TempDirectory::new();
    let file = format!("{}/queries.yml", directory.text());
    let mut rules = "groups:\n  - name: dashboard\n    rules:\n".to_owned();
    for (number, query) in queries().iter().enumerate() {
        // What Grafana fills in. A string in JSON is one in YAML.
        let query = query.replace("$__rate_interval", "5m");
        rules += &format!("      - record: query:{number}\n        expr: {}\n", Value::from(query));
    }
    std::fs::write(&file, rules).unwrap();
    check_rules(&file);
}

#[test]
fn every_metric_that_the_rules_and_the_dashboard_name_exists() {
    let metrics = get(start().address, "/metrics");
    let families: BTreeSet<&str> = metrics
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    let rules = std::fs::read_to_string(RULES).unwrap();
    let asked = queries().join("\n") + &rules;
    let is_of_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let words = asked.split(|character| !is_of_name(character));
    let names: BTreeSet<&str> = words.filter(|word| word.starts_with("fanfare_")).collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        let family = name.trim_end_matches("_total").trim_end_matches("_bucket");
        assert!(families.contains(family), "{name} in {families:?}");
    }
}

fn check_rules(file: &str) {
    let Some(mut promtool) = program("promtool") else { return };
    let output = promtool.args(["check", "rules", file]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// The queries of all panels.
fn queries() -> Vec<String> {
    fn collect(value: &Value, queries: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                queries.extend(fields.get("expr").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|value| collect(value, queries));
            }
            Value::Array(values) => values.iter().for_each(|value| collect(value, queries)),
            _ => {}
        }
    }
    let text = std::fs::read_to_string(DASHBOARD).unwrap();
    let mut queries = Vec::new();
    collect(&serde_json::from_str(&text).unwrap(), &mut queries);
    assert!(queries.len() > 10, "{queries:?}");
    queries
}
