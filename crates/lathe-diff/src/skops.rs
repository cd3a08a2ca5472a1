use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::{Difference, Places, Rules, archive, json};

const SCHEMA: &str = "schema.json";
/// Deeper schemas are not followed.
const DEPTH_MAX: usize = 500;

/// Compares two skops archives; nothing if a side is none. skops names objects, and the files of arrays, by where they
/// lay in the memory of the process that wrote them: those names are replaced by the order of their first appearance.
pub(crate) fn compare(expected: &[u8], found: &[u8], rules: &Rules) -> Option<Places> {
    let (schema, arrays) = read(expected)?;
    let (other_schema, other_arrays) = read(found)?;
    let mut places = Places::default();
    json::values(&mut places, "", &schema, &other_schema, rules);
    allow_identities(&mut places);
    let of_arrays = archive::members(&arrays, &other_arrays, rules);
    if places.is_empty() {
        return Some(of_arrays);
    }
    places.any_matters |= of_arrays.any_matters;
    places.matter.extend(of_arrays.matter);
    places.more += of_arrays.more;
    Some(places)
}

/// MLflow's autologging writes the run into the estimator.
const IDENTITY: &str = "_mlflow_run_id.content";

fn allow_identities(places: &mut Places) {
    let (identities, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut places.matter)
        .into_iter()
        .partition(|difference| difference.place.ends_with(IDENTITY));
    places.any_matters = !rest.is_empty() || 0 < places.more;
    places.matter = rest;
    places
        .tolerated
        .extend(identities.into_iter().map(|difference| Difference {
            tolerated: true,
            ..difference
        }));
}

fn read(bytes: &[u8]) -> Option<(Value, BTreeMap<String, Vec<u8>>)> {
    let mut members = archive::read(bytes)?;
    let mut schema: Value = serde_json::from_slice(&members.remove(SCHEMA)?).ok()?;
    let mut names = Names::default();
    names.rename(&mut schema, 0);
    let arrays = members
        .into_iter()
        .map(|(name, content)| (names.files.get(&name).cloned().unwrap_or(name), content))
        .collect();
    Some((schema, arrays))
}

/// New names by old ones.
#[derive(Default)]
struct Names {
    objects: HashMap<u64, usize>,
    files: HashMap<String, String>,
}

impl Names {
    fn rename(&mut self, value: &mut Value, depth: usize) {
        if DEPTH_MAX < depth {
            return;
        }
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.rename(item, depth + 1)),
            Value::Object(entries) => {
                for (key, entry) in entries.iter_mut() {
                    match (key.as_str(), &mut *entry) {
                        ("__id__", Value::Number(id)) => {
                            if let Some(id) = id.as_u64() {
                                let next = self.objects.len();
                                *entry = Value::from(*self.objects.entry(id).or_insert(next));
                            }
                        }
                        ("file", Value::String(name)) => {
                            let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
                            let new = format!("array {:04}.{extension}", self.files.len());
                            *name = self.files.entry(name.clone()).or_insert(new).clone();
                        }
                        (_, entry) => self.rename(entry, depth + 1),
                    }
                }
            }
            _ => {}
        }
    }
}
