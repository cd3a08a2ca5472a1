use super::cursor::Cursor;
use super::{Attribute, Field};
use crate::InputError;

pub(super) const KEYS_MAX: usize = 20;

/// One key to sort by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order<A> {
    /// What is compared.
    pub field: Field<A>,
    /// Largest first.
    pub descending: bool,
}

/// Reads keys to sort by, as `metrics.rmse ASC`; without a direction, the smallest comes first.
pub fn parse_order_by<A: Attribute>(keys: &[String]) -> Result<Vec<Order<A>>, InputError> {
    if KEYS_MAX < keys.len() {
        return Err(InputError::Invalid {
            parameter: "order_by".into(),
            value: keys.len().to_string(),
            reason: format!("a search can sort by at most {KEYS_MAX} keys"),
        });
    }
    let mut orders: Vec<Order<A>> = Vec::new();
    for key in keys {
        let order = order(&mut Cursor::new(key));
        let order = order.map_err(|reason| InputError::invalid("order_by", key, reason))?;
        if orders.iter().any(|other| other.field == order.field) {
            return Err(InputError::invalid(
                "order_by",
                key,
                "`order_by` contains duplicate fields",
            ));
        }
        orders.push(order);
    }
    Ok(orders)
}

/// Reads the name of one field.
pub fn parse_field<A: Attribute>(parameter: &str, name: &str) -> Result<Field<A>, InputError> {
    let mut cursor = Cursor::new(name);
    let field = field(&mut cursor).and_then(|field| end(&cursor).map(|()| field));
    field.map_err(|reason| InputError::invalid(parameter, name, reason))
}

fn order<A: Attribute>(cursor: &mut Cursor<'_>) -> Result<Order<A>, String> {
    let field = field(cursor)?;
    if matches!(field, Field::Dataset(_)) {
        return Err("a run can have several datasets, so they give it no place".into());
    }
    let descending = cursor.keyword("DESC");
    if !descending {
        cursor.keyword("ASC");
    }
    end(cursor)?;
    Ok(Order { field, descending })
}

fn field<A: Attribute>(cursor: &mut Cursor<'_>) -> Result<Field<A>, String> {
    let name = cursor.name()?;
    Field::named(name.entity.as_deref(), name.key)
}

pub(super) fn end(cursor: &Cursor<'_>) -> Result<(), String> {
    if cursor.at_end() {
        return Ok(());
    }
    Err(format!("nothing more is expected at {}", cursor.here()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::RunAttribute;

    fn read(keys: &[&str]) -> Result<Vec<Order<RunAttribute>>, InputError> {
        parse_order_by(&keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_key_sorts_up_unless_it_says_down() {
        let order = |field, descending| Order { field, descending };
        assert_eq!(
            read(&["metrics.`a b` DESC", "start_time", "params.x asc"]),
            Ok(vec![
                order(Field::Metric("a b".into()), true),
                order(Field::Attribute(RunAttribute::StartTime), false),
                order(Field::Param("x".into()), false),
            ])
        );
        for keys in [
            &["metrics.a DESC, x"][..],
            &["metrics.a DOWN"],
            &["nothing"],
            &[""],
            &["dataset.name"],
            &["start_time", "created DESC"],
        ] {
            assert!(read(keys).is_err(), "{keys:?}");
        }
    }
}
