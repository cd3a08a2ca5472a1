//! Which things a request names, read without knowing the request: from its path, its query, its headers and its JSON
//! body. Every value of a name counts, wherever it stands and however often, so that no handler can find one that was
//! not judged.

use std::fmt;

use axum::http::HeaderMap;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Values of one request at most; more are not looked up but refused.
pub(super) const VALUES_MAX: usize = 2_000;

/// What a request says under the wanted names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Peek {
    /// Name and value, in the order they were met.
    found: Vec<(&'static str, String)>,
}

impl Peek {
    /// The values of a name. Names are paths into the body, as `metrics.model_id`; lists are gone through.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.found
            .iter()
            .filter(move |(known, _)| *known == name)
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn is_too_long(&self) -> bool {
        VALUES_MAX < self.found.len()
    }

    /// Adds what stands in the path.
    pub(super) fn add_params<'a>(
        &mut self,
        params: impl IntoIterator<Item = (&'a str, &'a str)>,
        names: &[&'static str],
    ) {
        for (key, value) in params {
            if let Some(name) = names.iter().find(|name| **name == key) {
                self.push(name, value);
            }
        }
    }

    /// Adds what stands in the query.
    pub(super) fn add_query(&mut self, query: &str, names: &[&'static str]) {
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            if let Some(name) = names.iter().find(|name| **name == key) {
                self.push(name, &value);
            }
        }
    }

    /// Adds what stands in headers; their names begin with `x-`.
    pub(super) fn add_headers(&mut self, headers: &HeaderMap, names: &[&'static str]) {
        for name in names.iter().filter(|name| name.starts_with("x-")) {
            for value in headers.get_all(*name) {
                self.push(name, &String::from_utf8_lossy(value.as_bytes()));
            }
        }
    }

    /// Adds what stands in a JSON body. What is no JSON names nothing, and no handler takes it.
    pub(super) fn add_body(&mut self, body: &[u8], names: &[&'static str]) {
        let paths: Vec<(&'static str, &'static str)> = names.iter().map(|name| (*name, *name)).collect();
        let mut json = serde_json::Deserializer::from_slice(body);
        let seed = Collect {
            peek: self,
            paths: &paths,
        };
        // A broken body was read as far as it goes; its handler says what is wrong with it.
        let _ = seed.deserialize(&mut json);
    }

    fn push(&mut self, name: &'static str, value: &str) {
        // An empty text is as good as none, as in protocol buffers.
        if !value.is_empty() && self.found.len() <= VALUES_MAX {
            self.found.push((name, value.to_owned()));
        }
    }
}

/// Reads one JSON value; `paths` are wanted names with what is left of their way from here.
struct Collect<'a> {
    peek: &'a mut Peek,
    paths: &'a [(&'static str, &'static str)],
}

impl Collect<'_> {
    fn text(self, value: &str) {
        for (name, rest) in self.paths {
            if rest.is_empty() {
                self.peek.push(name, value);
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for Collect<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Collect<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let inner: Vec<_> = self.paths.iter().filter_map(|path| step(path, &key)).collect();
            if inner.is_empty() {
                map.next_value::<IgnoredAny>()?;
            } else {
                map.next_value_seed(Collect {
                    peek: self.peek,
                    paths: &inner,
                })?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list
            .next_element_seed(Collect {
                peek: self.peek,
                paths: self.paths,
            })?
            .is_some()
        {}
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.text(text);
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.text(&number.to_string());
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.text(&number.to_string());
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.text(&number.to_string());
        Ok(())
    }

    fn visit_bool<E>(self, flag: bool) -> Result<(), E> {
        self.text(if flag { "true" } else { "false" });
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// What is left of a path behind `key`.
fn step((name, rest): &(&'static str, &'static str), key: &str) -> Option<(&'static str, &'static str)> {
    let behind = rest.strip_prefix(key)?;
    match behind.strip_prefix('.') {
        Some(behind) => Some((name, behind)),
        None => behind.is_empty().then_some((*name, "")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_of_a_name_is_found_however_it_is_written() {
        let names = ["run_id", "metrics.model_id", "ids", "x-run"];
        let mut peek = Peek::default();
        peek.add_body(
            br#"{"run_id":"a","run\u005fid":"b","metrics":[{"key":"k","model_id":"m1"},{"model_id":"m2"},{}],
                "model_id":"not this one","ids":["1",2,null],"other":{"run_id":"nor this"},"run_id":null}"#,
            &names,
        );
        peek.add_query("run_id=c&run_id=d%20e&other=1", &names);
        peek.add_params([("run_id", "f"), ("path", "g")], &names);
        let values = |name: &str| peek.values(name).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(values("run_id"), ["a", "b", "c", "d e", "f"]);
        assert_eq!(values("metrics.model_id"), ["m1", "m2"]);
        assert_eq!(values("ids"), ["1", "2"]);
    }

    #[test]
    fn broken_and_endless_bodies_are_read_as_far_as_they_go() {
        let mut peek = Peek::default();
        peek.add_body(br#"{"run_id":"a","x":"#, &["run_id"]);
        assert_eq!(peek.values("run_id").collect::<Vec<_>>(), ["a"]);
        let many = format!(r#"{{"run_id":[{}]}}"#, vec!["\"x\""; 3 * VALUES_MAX].join(","));
        peek.add_body(many.as_bytes(), &["run_id"]);
        assert!(peek.is_too_long() && peek.found.len() == VALUES_MAX + 1);
    }
}
