//! Filters, keys to sort by and page tokens: every text is read or refused, and never breaks anything.

use lathe_types::search::{
    Attribute, ExperimentAttribute, LoggedModelAttribute, ModelAttribute, RunAttribute, Test,
    VersionAttribute, parse_field, parse_filter, parse_order_by,
};

fn read<A: Attribute + std::fmt::Debug>(text: &str) {
    if let Ok(conditions) = parse_filter::<A>(text) {
        assert!(conditions.len() <= 100);
        for condition in &conditions {
            // What reaches the database is what stands in the filter, up to its quotes.
            if let Test::Text { text: value, .. } = &condition.test {
                assert!(value.len() <= text.len());
            }
        }
    }
    let _ = parse_field::<A>("field", text);
    let keys: Vec<String> = text.split('\n').take(30).map(str::to_owned).collect();
    if let Ok(orders) = parse_order_by::<A>(&keys) {
        assert!(orders.len() <= 20);
    }
}

/// Reads it; panics if what comes out breaks a promise.
pub fn check(text: &str) {
    read::<RunAttribute>(text);
    read::<ExperimentAttribute>(text);
    read::<ModelAttribute>(text);
    read::<VersionAttribute>(text);
    read::<LoggedModelAttribute>(text);
    if let Ok(offset) = lathe_api::mlflow::parse_page_token(Some(text)) {
        assert!(
            text.is_empty()
                || lathe_api::mlflow::parse_page_token(Some(&lathe_api::mlflow::page_token(offset)))
                    == Ok(offset)
        );
    }
}
