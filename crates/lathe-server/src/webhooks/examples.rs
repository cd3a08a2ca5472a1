use lathe_types::webhooks::WebhookEvent;
use serde_json::{Value, json};

/// What an event of this kind tells, for a trial.
pub(crate) fn example(event: WebhookEvent) -> Value {
    let is_prompt = event.word().starts_with("prompt");
    let name = if is_prompt {
        "example_prompt"
    } else {
        "example_model"
    };
    let tags = json!({ "example_key": "example_value" });
    match event.word() {
        "registered_model.created" | "prompt.created" => {
            json!({ "name": name, "tags": tags, "description": "An example" })
        }
        "model_version.created" => json!({
            "name": name, "version": "1", "source": "models:/123", "run_id": "abcd1234abcd5678", "tags": tags,
            "description": "An example"
        }),
        "prompt_version.created" => json!({
            "name": name, "version": "1", "template": "Hello {{name}}!", "tags": tags, "description": "An example"
        }),
        "prompt_tag.set" => json!({ "name": name, "key": "example_key", "value": "example_value" }),
        "prompt_tag.deleted" => json!({ "name": name, "key": "example_key" }),
        "model_version_tag.set" | "prompt_version_tag.set" => {
            json!({ "name": name, "version": "1", "key": "example_key", "value": "example_value" })
        }
        "model_version_tag.deleted" | "prompt_version_tag.deleted" => {
            json!({ "name": name, "version": "1", "key": "example_key" })
        }
        "model_version_alias.created" | "prompt_alias.created" => {
            json!({ "name": name, "alias": "example_alias", "version": "1" })
        }
        "model_version_alias.deleted" | "prompt_alias.deleted" => {
            json!({ "name": name, "alias": "example_alias" })
        }
        _ => json!({
            "budget_policy_id": "bp-1", "budget_unit": "USD", "budget_amount": 100.0, "current_spend": 105.5,
            "duration_unit": "MONTHS", "duration_value": 1, "target_scope": "GLOBAL", "workspace": "default",
            "target_value": null, "window_start": 0
        }),
    }
}
