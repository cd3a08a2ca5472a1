//! What receivers of events are told of models and versions.

use lathe_types::Millis;
use lathe_types::models::{NewModelVersion, PROMPT_TAG};
use lathe_types::tags::Tag;
use serde_json::{Map, Value as Json, json};

use crate::{Result, Tx, webhooks};

pub(super) fn tell_of_version(tx: &Tx<'_>, new: &NewModelVersion, number: u32, now: Millis) -> Result<()> {
    let (name, version) = (new.name.as_str(), number.to_string());
    let (tags, description) = (public_tags(&new.tags), new.description.as_deref());
    if is_prompt(&new.tags) {
        let text = new.tags.iter().find(|tag| tag.key == "mlflow.prompt.text");
        return webhooks::tell(tx, "prompt_version.created", now, || {
            json!({
                "name": name, "version": version, "template": text.map(|tag| &tag.value), "tags": tags,
                "description": description
            })
        });
    }
    webhooks::tell(tx, "model_version.created", now, || {
        json!({
            "name": name, "version": version, "source": new.source, "run_id": new.run_id, "tags": tags,
            "description": description
        })
    })
}

/// The tags by key, without those that only say that and how something is a prompt.
pub(super) fn public_tags(tags: &[Tag]) -> Map<String, Json> {
    let inner = ["mlflow.prompt.text", PROMPT_TAG, "_mlflow_prompt_type"];
    let shown = tags
        .iter()
        .filter(|tag| !is_prompt(tags) || !inner.contains(&tag.key.as_str()));
    shown
        .map(|tag| (tag.key.clone(), Json::from(tag.value.as_str())))
        .collect()
}

/// Whether these tags say that something is a prompt.
pub(crate) fn is_prompt(tags: &[Tag]) -> bool {
    let said = tags.iter().rev().find(|tag| tag.key == PROMPT_TAG);
    said.is_some_and(|tag| tag.value.eq_ignore_ascii_case("true"))
}
