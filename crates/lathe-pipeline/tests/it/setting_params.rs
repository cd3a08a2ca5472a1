use insta::assert_snapshot;
use lathe_pipeline::{parse_param, set_params};

fn set(text: &str, changes: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("params.yaml");
    std::fs::write(&path, text).unwrap();
    let changes: Vec<_> = changes
        .iter()
        .map(|(key, value)| ((*key).to_owned(), parse_param(value).unwrap()))
        .collect();
    match set_params(&path, &changes) {
        Ok(()) => std::fs::read_to_string(&path).unwrap(),
        Err(error) => format!("error: {error}"),
    }
}

const PARAMS: &str = "\
# the forest
train:   # of trees
  trees: 100   # a comment
  depth:

  names: [a, b]  # of columns
  opts: {lr: 0.1}
split: 'a b'
last:
  deep:
    x: 1
# the end
";

#[test]
fn values_are_replaced_where_they_are_and_missing_keys_added_where_they_belong() {
    let changed = set(
        PARAMS,
        &[
            ("train.trees", "200"),
            ("train.depth", "3"),
            ("train.names", "[c]"),
            ("train.opts.lr", "1e-05"),
            ("train.opts.warm", "true"),
            ("train.criterion", "gini: x"),
            ("split", "yes"),
            ("last.deep.y", "'1'"),
            ("last.deeper.z", "~"),
            ("new.a.b", "0.5"),
        ],
    );
    assert_snapshot!(changed, @r#"
    # the forest
    train:   # of trees
      trees: 200   # a comment
      depth: 3

      names: ["c"]
      opts: {lr: 1e-05, warm: true}
      criterion: {"gini":"x"}
    split: yes
    last:
      deep:
        x: 1
        y: '1'
      deeper:
        z: null
    new:
      a:
        b: 0.5
    # the end
    "#);
}

#[test]
fn an_empty_file_takes_its_first_keys() {
    assert_eq!(set("", &[("a.b", "1"), ("a.c", "x")]), "a:\n  b: 1\n  c: x\n");
    assert_eq!(set("{}", &[("a", "1")]), "{a: 1}");
    assert_eq!(set("a: 1", &[("b", "2")]), "a: 1\nb: 2\n");
    assert_eq!(set("é: 1\nb: 1\n", &[("b", "'é: x'")]), "é: 1\nb: 'é: x'\n");
    assert_eq!(set("a: [1, 2]\n", &[("a.1", "5")]), "a: [1, 5]\n");
}

#[test]
fn what_cannot_be_set_in_place_is_refused_and_left_alone() {
    assert_snapshot!(set("a:\n  b: 1\n", &[("a", "2")]), @"error: `a` cannot be set in `params.yaml`: it is a map of several lines");
    assert_snapshot!(set("a: 1\n", &[("a.b", "2")]), @"error: `a.b` cannot be set in `params.yaml`: `a` is a number, not a map");
    assert_snapshot!(set("a: 1\n", &[("a..b", "2")]), @"error: `a..b` cannot be set in `params.yaml`: a key has names between its dots");
    assert_snapshot!(set("a: |\n  x\n  y\n", &[("a", "2")]), @"error: `a` cannot be set in `params.yaml`: it is text of several lines");
}

#[test]
fn values_are_read_as_params_yaml_reads_them() {
    assert_eq!(parse_param("200").unwrap(), serde_json::json!(200));
    assert_eq!(parse_param("1e-3").unwrap(), serde_json::json!(0.001));
    assert_eq!(parse_param("yes").unwrap(), serde_json::json!("yes"));
    assert_eq!(
        parse_param("[1, {a: ~}]").unwrap(),
        serde_json::json!([1, { "a": null }])
    );
    assert_eq!(parse_param("").unwrap(), serde_json::Value::Null);
    assert!(parse_param("[1").is_err());
}
