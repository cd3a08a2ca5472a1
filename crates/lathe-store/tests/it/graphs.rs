use lathe_store::Store;
use lathe_types::graphs::{Graph, Part, Shape, VersionName};
use lathe_types::imports::RegisteredRecord;
use lathe_types::models::{ModelName, NewModelVersion, RegisteredModel};
use lathe_types::project::ProjectSpec;
use lathe_types::{ErrorKind, Millis};
use serde_json::{Value, json};

use crate::store;

/// Registers so many versions of a model.
async fn register(store: &Store, name: &str, versions: u32) {
    let model = || ModelName::new("name", name.to_owned()).unwrap();
    store
        .create_registered_model(model(), None, Vec::new(), Millis(1))
        .await
        .unwrap();
    for _ in 0..versions {
        let version = NewModelVersion {
            name: model(),
            source: "s3://bucket/m".into(),
            run_id: None,
            run_link: None,
            model_id: None,
            description: None,
            tags: Vec::new(),
        };
        store.register_model_version(version, Millis(1)).await.unwrap();
    }
}

async fn declare(store: &Store, project: &str, more: Value) -> lathe_store::Result<()> {
    let mut spec = json!({ "project": { "name": project } });
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    let spec: ProjectSpec = serde_json::from_value(spec).unwrap();
    store
        .declare_project(project, "/nowhere".into(), spec, Millis(2))
        .await
}

async fn refused(store: &Store, project: &str, more: Value) -> String {
    let error = declare(store, project, more).await.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Conflict),
        "{error}"
    );
    error.to_string()
}

async fn only(store: &Store) -> Graph {
    let [graph] = store.list_graphs().await.unwrap().try_into().unwrap();
    graph
}

fn versions(graph: &Graph) -> Vec<String> {
    graph
        .shape
        .iter()
        .flat_map(Shape::versions)
        .map(|version| version.to_string())
        .collect()
}

#[tokio::test]
async fn a_graph_follows_the_aliases_of_its_members_and_counts_its_versions() {
    let (_folder, store) = store();
    register(&store, "scale", 2).await;
    register(&store, "score", 1).await;
    let graph = json!({ "g": { "sequence": ["models:/scale@champion", "models:/score/1"] } });
    declare(&store, "p", json!({ "graph": graph })).await.unwrap();
    let waiting = only(&store).await;
    assert_eq!(
        (waiting.shape, waiting.missing.as_deref(), waiting.version),
        (None, Some("models:/scale@champion"), 1)
    );

    store
        .set_model_alias("scale", "champion", 1, Millis(3))
        .await
        .unwrap();
    let first = only(&store).await;
    assert_eq!(
        (versions(&first), first.missing.clone(), first.version),
        (vec!["scale/1".into(), "score/1".into()], None, 2)
    );
    // The same again, or somebody else's alias, changes nothing.
    declare(&store, "p", json!({ "graph": graph })).await.unwrap();
    store
        .set_model_alias("scale", "other", 2, Millis(4))
        .await
        .unwrap();
    assert_eq!(only(&store).await, first);

    store
        .set_model_alias("scale", "champion", 2, Millis(5))
        .await
        .unwrap();
    let second = only(&store).await;
    assert_eq!((versions(&second)[0].as_str(), second.version), ("scale/2", 3));
    // An alias that goes leaves the graph as it is.
    store
        .delete_model_alias("scale", "champion", Millis(6))
        .await
        .unwrap();
    let third = only(&store).await;
    assert_eq!((versions(&third), third.version), (versions(&second), 3));
    assert_eq!(third.missing.as_deref(), Some("models:/scale@champion"));
    // Models have other names, and then their own again.
    store
        .set_model_alias("scale", "champion", 2, Millis(7))
        .await
        .unwrap();
    let name = |name: &str| ModelName::new("name", name.to_owned()).unwrap();
    for (from, to, missing) in [("scale", "moved", true), ("moved", "scale", false)] {
        store
            .rename_registered_model(from, name(to), Millis(7))
            .await
            .unwrap();
        assert_eq!(only(&store).await.missing.is_some(), missing);
    }
    // An alias may go with its version, come with a model that is taken over, and go with the model.
    store.delete_model_version("scale", 2, Millis(8)).await.unwrap();
    assert!(only(&store).await.missing.is_some());
    let record = RegisteredRecord {
        model: RegisteredModel {
            name: "scale".into(),
            description: None,
            created_at: Millis(1),
            updated_at: Millis(1),
            tags: Vec::new(),
            aliases: vec![("champion".into(), 1)],
            latest_versions: Vec::new(),
        },
        versions: Vec::new(),
    };
    store.import_registered_model(record, Millis(9)).await.unwrap();
    let fourth = only(&store).await;
    assert_eq!(
        (versions(&fourth), fourth.missing, fourth.version),
        (versions(&first), None, 4)
    );
    store.delete_registered_model("scale", Millis(10)).await.unwrap();
    assert!(only(&store).await.missing.is_some());

    let events = store.list_events(0, 100).await.unwrap();
    let told: Vec<&str> = events
        .iter()
        .filter(|event| event.subject == "graph/g")
        .map(|event| event.summary.as_str())
        .collect();
    assert_eq!(
        told,
        [
            "graph `g` declared: models:/scale@champion, models:/score/1",
            "graph `g` is answered by scale/1, score/1",
            "graph `g` is answered by scale/2, score/1",
            "graph `g` is answered by scale/1, score/1",
        ]
    );
}

#[tokio::test]
async fn a_rollout_that_is_promoted_and_a_graph_within_move_a_graph_along() {
    let (_folder, store) = store();
    register(&store, "m", 2).await;
    store
        .set_model_alias("m", "champion", 1, Millis(3))
        .await
        .unwrap();
    let graph = json!({
        "inner": { "ensemble": ["models:/m@champion", "models:/m/1"], "combine": "mean" },
        "outer": { "sequence": ["graph:/inner"] },
    });
    let deployment = json!({ "d": { "model": "models:/m@champion", "rollout": [{ "canary": 100 }] } });
    declare(&store, "p", json!({ "graph": graph, "deployment": deployment }))
        .await
        .unwrap();
    let rollout = store.start_rollout("d", 2, None, Millis(4)).await.unwrap();
    store
        .promote_rollout(rollout.id, "passed".into(), Millis(5))
        .await
        .unwrap();
    let graphs = store.list_graphs().await.unwrap();
    for graph in &graphs {
        assert_eq!(versions(graph), ["m/2", "m/1"], "{}", graph.name);
    }
    let Some(Shape::Sequence { steps }) = &graphs[1].shape else {
        panic!("{graphs:?}");
    };
    let Part::Graph { name, shape } = &steps[0] else {
        panic!("{steps:?}");
    };
    let one = |version| {
        Part::Model(VersionName {
            model: "m".into(),
            version,
        })
    };
    assert_eq!(
        (name.as_str(), shape.members()),
        ("inner", vec![&one(2), &one(1)])
    );
}

#[tokio::test]
async fn a_graph_that_cannot_be_is_refused_and_nothing_of_the_project_is_kept() {
    let (_folder, store) = store();
    register(&store, "m", 1).await;
    let graph = |graph: Value| json!({ "graph": { "g": graph } });
    for (wrong, told) in [
        (
            json!({ "sequence": ["models:/n@champion"] }),
            "`[graph.g]` names `models:/n@champion`, which is neither registered",
        ),
        (
            json!({ "sequence": ["models:/m/2"] }),
            "`[graph.g]` names `models:/m/2`, which is not registered",
        ),
        (
            json!({ "sequence": ["graph:/g"] }),
            "`[graph.g]` is a part of itself: g → g",
        ),
        (
            json!({ "sequence": ["graph:/h"] }),
            "names the graph `h`, which is not declared",
        ),
    ] {
        let error = refused(&store, "p", graph(wrong)).await;
        assert!(error.contains(told), "{error}");
    }
    assert!(store.find_project("p").await.unwrap().is_none());
    // What the project is going to register may be named.
    let own = json!({
        "model": { "n": { "path": "n", "metrics": "n.json", "reference": "n.csv" } },
        "graph": { "g": { "sequence": ["models:/n@champion"] } },
    });
    declare(&store, "p", own).await.unwrap();
}

#[tokio::test]
async fn a_name_belongs_to_one_until_it_is_given_up() {
    let (_folder, store) = store();
    register(&store, "m", 1).await;
    store.set_model_alias("m", "x", 1, Millis(3)).await.unwrap();
    let as_graph = json!({ "graph": { "n": { "sequence": ["models:/m@x"] } } });
    let as_deployment = json!({ "deployment": { "n": { "model": "models:/m@x" } } });
    declare(&store, "p", as_graph.clone()).await.unwrap();
    store.expect_answering("n").await.unwrap();
    let error = refused(&store, "q", as_graph.clone()).await;
    assert!(error.contains("belongs to the project `p`"), "{error}");
    let error = refused(&store, "q", as_deployment.clone()).await;
    assert!(error.contains("is a graph of the project `p`"), "{error}");

    declare(&store, "p", json!({})).await.unwrap();
    assert!(store.list_graphs().await.unwrap().is_empty());
    declare(&store, "q", as_graph.clone()).await.unwrap();
    // Versions count on: declared, resolved, given up, declared, resolved.
    assert_eq!(only(&store).await.version, 5);
    // Within one project the name may go from a graph to a deployment at once.
    declare(&store, "q", as_deployment).await.unwrap();
    let error = refused(&store, "p", as_graph).await;
    assert!(error.contains("`n` is a deployment"), "{error}");
    assert!(store.expect_answering("nobody").await.is_err());
}
