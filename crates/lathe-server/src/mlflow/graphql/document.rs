//! A query as it was written, with its fragments and variables put in.

use std::collections::HashMap;

use graphql_parser::query::{
    Definition, Directive, Document, FragmentDefinition, OperationDefinition, Selection, SelectionSet,
    VariableDefinition, parse_query,
};
use serde_json::{Map, Value, json};

/// As deep as fields, fragments, lists and objects may lie in each other: the parser calls itself for each.
const DEPTH_MAX: usize = 32;
/// What a query selects, what is in fragments counted wherever they are used.
const SELECTIONS_MAX: usize = 1_000;
/// Fields of the root: each is a request of its own.
const ROOT_FIELDS_MAX: usize = 10;

/// One operation of a document.
pub(super) struct Operation {
    pub(super) is_mutation: bool,
    pub(super) fields: Vec<Selected>,
}

/// A field that is asked for.
pub(super) struct Selected {
    pub(super) name: String,
    /// What it is called in the answer.
    pub(super) key: String,
    pub(super) arguments: Map<String, Value>,
    pub(super) fields: Vec<Selected>,
}

/// The operation of that name, or the only one.
pub(super) fn read(
    text: &str,
    name: Option<&str>,
    variables: &Map<String, Value>,
) -> Result<Operation, String> {
    check_depth(text)?;
    let document: Document<'_, String> =
        parse_query(text).map_err(|error| format!("Syntax Error: {error}"))?;
    let mut fragments = HashMap::new();
    let mut operations = Vec::new();
    for definition in &document.definitions {
        match definition {
            Definition::Fragment(fragment) => {
                fragments.insert(fragment.name.as_str(), fragment);
            }
            Definition::Operation(operation) => operations.push(Parts::of(operation)),
        }
    }
    let name = name.filter(|name| !name.is_empty());
    let found = match (name, operations.as_slice()) {
        (Some(name), all) => all
            .iter()
            .find(|parts| parts.name == Some(name))
            .ok_or_else(|| format!("Unknown operation named '{name}'."))?,
        (None, [only]) => only,
        (None, []) => return Err("Must provide an operation.".into()),
        (None, _) => return Err("Must provide operation name if query contains multiple operations.".into()),
    };
    if found.is_subscription {
        return Err("Schema is not configured to execute subscription operation.".into());
    }
    let mut reader = Reader {
        fragments,
        variables: with_defaults(found.variables, variables)?,
        selections: 0,
    };
    let fields = reader.fields(found.selection, 0)?;
    if ROOT_FIELDS_MAX < fields.len() {
        return Err(format!(
            "Query exceeds the maximum of {ROOT_FIELDS_MAX} root fields."
        ));
    }
    Ok(Operation {
        is_mutation: found.is_mutation,
        fields,
    })
}

/// Counts brackets, also those in texts: no query needs so many.
fn check_depth(text: &str) -> Result<(), String> {
    let mut depth = 0_usize;
    for byte in text.bytes() {
        match byte {
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if DEPTH_MAX < depth {
            return Err(format!("Query exceeds maximum depth of {DEPTH_MAX}"));
        }
    }
    Ok(())
}

/// What the forms of an operation have in common.
struct Parts<'a> {
    name: Option<&'a str>,
    is_mutation: bool,
    is_subscription: bool,
    variables: &'a [VariableDefinition<'a, String>],
    selection: &'a SelectionSet<'a, String>,
}

impl<'a> Parts<'a> {
    fn of(operation: &'a OperationDefinition<'a, String>) -> Self {
        let (name, variables, selection) = match operation {
            OperationDefinition::SelectionSet(selection) => (None, &[][..], selection),
            OperationDefinition::Query(query) => (
                query.name.as_deref(),
                query.variable_definitions.as_slice(),
                &query.selection_set,
            ),
            OperationDefinition::Mutation(mutation) => (
                mutation.name.as_deref(),
                mutation.variable_definitions.as_slice(),
                &mutation.selection_set,
            ),
            OperationDefinition::Subscription(subscription) => (
                subscription.name.as_deref(),
                subscription.variable_definitions.as_slice(),
                &subscription.selection_set,
            ),
        };
        Self {
            name,
            is_mutation: matches!(operation, OperationDefinition::Mutation(_)),
            is_subscription: matches!(operation, OperationDefinition::Subscription(_)),
            variables,
            selection,
        }
    }
}

fn with_defaults(
    declared: &[VariableDefinition<'_, String>],
    given: &Map<String, Value>,
) -> Result<Map<String, Value>, String> {
    let mut variables = Map::new();
    for variable in declared {
        let value = match (given.get(&variable.name), &variable.default_value) {
            (Some(value), _) => value.clone(),
            (None, Some(default)) => plain(default, &Map::new())?,
            (None, None) => continue,
        };
        variables.insert(variable.name.clone(), value);
    }
    Ok(variables)
}

struct Reader<'a> {
    fragments: HashMap<&'a str, &'a FragmentDefinition<'a, String>>,
    variables: Map<String, Value>,
    selections: usize,
}

impl Reader<'_> {
    fn fields(
        &mut self,
        selection: &SelectionSet<'_, String>,
        depth: usize,
    ) -> Result<Vec<Selected>, String> {
        let mut fields: Vec<Selected> = Vec::new();
        self.collect(selection, depth, &mut fields)?;
        Ok(fields)
    }

    fn collect(
        &mut self,
        selection: &SelectionSet<'_, String>,
        depth: usize,
        into: &mut Vec<Selected>,
    ) -> Result<(), String> {
        if DEPTH_MAX < depth {
            // Also where fragments use each other in a circle.
            return Err(format!("Query exceeds maximum depth of {DEPTH_MAX}"));
        }
        for item in &selection.items {
            self.selections += 1;
            if SELECTIONS_MAX < self.selections {
                return Err(format!(
                    "Query exceeds maximum total selections of {SELECTIONS_MAX}"
                ));
            }
            match item {
                Selection::Field(field) if self.is_wanted(&field.directives)? => {
                    let arguments = field.arguments.iter();
                    let arguments = arguments
                        .map(|(name, value)| Ok((name.clone(), plain(value, &self.variables)?)))
                        .collect::<Result<_, String>>()?;
                    let key = field.alias.clone().unwrap_or_else(|| field.name.clone());
                    let within = self.fields(&field.selection_set, depth + 1)?;
                    match into.iter_mut().find(|one| one.key == key) {
                        // Asked for twice, as by two fragments: one field with all that is wanted of it.
                        Some(same) if same.name == field.name => same.fields.extend(within),
                        Some(_) => {
                            return Err(format!(
                                "Fields '{key}' conflict because they are different fields."
                            ));
                        }
                        None => into.push(Selected {
                            name: field.name.clone(),
                            key,
                            arguments,
                            fields: within,
                        }),
                    }
                }
                Selection::InlineFragment(fragment) if self.is_wanted(&fragment.directives)? => {
                    self.collect(&fragment.selection_set, depth + 1, into)?;
                }
                Selection::FragmentSpread(spread) if self.is_wanted(&spread.directives)? => {
                    let name = spread.fragment_name.as_str();
                    let fragment = *self
                        .fragments
                        .get(name)
                        .ok_or_else(|| format!("Unknown fragment '{name}'."))?;
                    self.collect(&fragment.selection_set, depth + 1, into)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What `@skip(if: …)` and `@include(if: …)` say.
    fn is_wanted(&self, directives: &[Directive<'_, String>]) -> Result<bool, String> {
        for directive in directives {
            let skips = match directive.name.as_str() {
                "skip" => true,
                "include" => false,
                _ => continue,
            };
            let condition = directive.arguments.iter().find(|(name, _)| name == "if");
            let condition = condition
                .map(|(_, value)| plain(value, &self.variables))
                .transpose()?;
            if condition.and_then(|value| value.as_bool()) == Some(skips) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A value as JSON has it.
fn plain(
    value: &graphql_parser::query::Value<'_, String>,
    variables: &Map<String, Value>,
) -> Result<Value, String> {
    use graphql_parser::query::Value as Written;
    Ok(match value {
        Written::Variable(name) => variables.get(name).cloned().unwrap_or_default(),
        Written::Int(number) => json!(number.as_i64()),
        Written::Float(number) => json!(number),
        Written::String(text) | Written::Enum(text) => json!(text),
        Written::Boolean(yes) => json!(yes),
        Written::Null => Value::Null,
        Written::List(items) => Value::Array(
            items
                .iter()
                .map(|item| plain(item, variables))
                .collect::<Result<_, _>>()?,
        ),
        Written::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(name, value)| Ok((name.clone(), plain(value, variables)?)))
                .collect::<Result<_, String>>()?,
        ),
    })
}
