//! The `.proto` files of the gRPC faces as descriptors. They are read line by line and know of the language what these
//! files use: messages within messages, enums, oneofs, maps, services.

use std::collections::BTreeSet;

use crate::reflection::{
    EnumDescriptor, EnumValueDescriptor, FieldDescriptor, FileDescriptor, MessageDescriptor, MessageOptions,
    MethodDescriptor, OneofDescriptor, ServiceDescriptor,
};

/// The files, by their names.
pub const FILES: [(&str, &str); 3] = [
    ("inference.proto", include_str!("../proto/inference.proto")),
    ("health.proto", include_str!("../proto/health.proto")),
    ("reflection.proto", include_str!("../proto/reflection.proto")),
];

const OPTIONAL: i32 = 1;
const REPEATED: i32 = 3;
const MESSAGE: i32 = 11;
const ENUM: i32 = 14;

/// Types that need no declaration, with their numbers.
const SCALARS: [(&str, i32); 9] = [
    ("double", 1),
    ("float", 2),
    ("int64", 3),
    ("uint64", 4),
    ("int32", 5),
    ("bool", 8),
    ("string", 9),
    ("bytes", 12),
    ("uint32", 13),
];

/// A file, and everything that it declares by its full name.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    /// As it is sent.
    pub file: FileDescriptor,
    /// Services, methods, messages, enums.
    pub symbols: BTreeSet<String>,
}

/// Reads a file; the error names its line.
pub fn parse(name: &str, text: &str) -> Result<Schema, String> {
    let mut reader = Reader {
        file: FileDescriptor {
            name: name.to_owned(),
            syntax: "proto3".into(),
            ..FileDescriptor::default()
        },
        open: Vec::new(),
    };
    for (number, line) in text.lines().enumerate() {
        let line = line.split("//").next().unwrap_or_default().trim();
        if !line.is_empty() {
            reader
                .line(line)
                .ok_or_else(|| format!("`{name}`, line {}: `{line}` is not known", number + 1))?;
        }
    }
    if !reader.open.is_empty() {
        return Err(format!("`{name}` ends within something"));
    }
    let mut file = reader.file;
    let mut messages = BTreeSet::new();
    let mut enums = BTreeSet::new();
    let package = file.package.clone();
    declare(
        &file.message_type,
        &file.enum_type,
        &package,
        &mut messages,
        &mut enums,
    );
    resolve(&mut file.message_type, &package, &messages, &enums)?;
    let mut symbols: BTreeSet<String> = messages.union(&enums).cloned().collect();
    for service in &mut file.service {
        let full = format!("{package}.{}", service.name);
        for method in &mut service.method {
            for kind in [&mut method.input_type, &mut method.output_type] {
                if !messages.contains(&format!("{package}.{kind}")) {
                    return Err(format!("`{name}`: `{kind}` is no message"));
                }
                *kind = format!(".{package}.{kind}");
            }
            symbols.insert(format!("{full}.{}", method.name));
        }
        symbols.insert(full);
    }
    Ok(Schema { file, symbols })
}

/// What is being read.
enum Open {
    Message(MessageDescriptor),
    /// Fields of the message around it.
    Oneof,
    Enum(EnumDescriptor),
    Service(ServiceDescriptor),
}

struct Reader {
    file: FileDescriptor,
    open: Vec<Open>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Option<()> {
        if line == "}" {
            return self.close();
        }
        if let Some(begun) = line.strip_suffix('{') {
            let (what, name) = begun.trim().split_once(' ')?;
            return self.begin(what, name.trim());
        }
        let line = line.strip_suffix(';')?;
        if self.open.is_empty() {
            let package = line.strip_prefix("package ");
            match package {
                Some(package) => self.file.package = package.trim().to_owned(),
                None if line == "syntax = \"proto3\"" => {}
                None => return None,
            }
            return Some(());
        }
        match self.open.last_mut()? {
            Open::Service(service) => service.method.push(method(line)?),
            Open::Enum(values) => {
                let (name, number) = line.split_once('=')?;
                values.value.push(EnumValueDescriptor {
                    name: name.trim().to_owned(),
                    number: Some(number.trim().parse().ok()?),
                });
            }
            Open::Message(message) => field(message, line, None)?,
            Open::Oneof => {
                let Some(Open::Message(message)) = self.open.iter_mut().rev().nth(1) else {
                    return None;
                };
                let index = i32::try_from(message.oneof_decl.len()).ok()? - 1;
                field(message, line, Some(index))?;
            }
        }
        Some(())
    }

    fn begin(&mut self, what: &str, name: &str) -> Option<()> {
        let name = name.to_owned();
        let begun = match (what, self.open.last_mut()) {
            ("message", None | Some(Open::Message(_))) => Open::Message(MessageDescriptor {
                name,
                ..MessageDescriptor::default()
            }),
            ("enum", None | Some(Open::Message(_))) => Open::Enum(EnumDescriptor {
                name,
                ..EnumDescriptor::default()
            }),
            ("service", None) => Open::Service(ServiceDescriptor {
                name,
                ..ServiceDescriptor::default()
            }),
            ("oneof", Some(Open::Message(message))) => {
                message.oneof_decl.push(OneofDescriptor { name });
                Open::Oneof
            }
            _ => return None,
        };
        self.open.push(begun);
        Some(())
    }

    fn close(&mut self) -> Option<()> {
        match (self.open.pop()?, self.open.last_mut()) {
            (Open::Message(message), None) => self.file.message_type.push(message),
            (Open::Message(message), Some(Open::Message(around))) => around.nested_type.push(message),
            (Open::Enum(values), None) => self.file.enum_type.push(values),
            (Open::Enum(values), Some(Open::Message(around))) => around.enum_type.push(values),
            (Open::Service(service), None) => self.file.service.push(service),
            (Open::Oneof, Some(Open::Message(_))) => {}
            _ => return None,
        }
        Some(())
    }
}

fn method(line: &str) -> Option<MethodDescriptor> {
    let (name, rest) = line.strip_prefix("rpc ")?.split_once('(')?;
    let (asked, rest) = rest.split_once(')')?;
    let told = rest.trim().strip_prefix("returns")?.trim();
    let told = told.strip_prefix('(')?.strip_suffix(')')?;
    let streams = |text: &str| match text.strip_prefix("stream ") {
        Some(kind) => (kind.to_owned(), true),
        None => (text.to_owned(), false),
    };
    let (input_type, client_streaming) = streams(asked);
    let (output_type, server_streaming) = streams(told);
    Some(MethodDescriptor {
        name: name.to_owned(),
        input_type,
        output_type,
        client_streaming,
        server_streaming,
    })
}

/// Adds a field, its type as the file names it.
fn field(message: &mut MessageDescriptor, line: &str, oneof: Option<i32>) -> Option<()> {
    let (declared, number) = line.split_once('=')?;
    let number = number.trim().parse().ok()?;
    let (kind, name) = declared.trim().rsplit_once(' ')?;
    let new = |name: &str, number: i32, kind: &str, label: i32| FieldDescriptor {
        name: name.to_owned(),
        number,
        label,
        kind: 0,
        type_name: Some(kind.to_owned()),
        oneof_index: oneof,
    };
    if let Some(pair) = kind.strip_prefix("map<") {
        let (key, value) = pair.strip_suffix('>')?.split_once(',')?;
        let entry: String = name
            .split('_')
            .map(|part| part[..1].to_uppercase() + &part[1..])
            .chain(["Entry".to_owned()])
            .collect();
        message.nested_type.push(MessageDescriptor {
            name: entry.clone(),
            field: vec![
                new("key", 1, key.trim(), OPTIONAL),
                new("value", 2, value.trim(), OPTIONAL),
            ],
            options: Some(MessageOptions { map_entry: true }),
            ..MessageDescriptor::default()
        });
        message.field.push(new(name, number, &entry, REPEATED));
        return Some(());
    }
    let (kind, label) = match kind.strip_prefix("repeated ") {
        Some(kind) => (kind, REPEATED),
        None => (kind, OPTIONAL),
    };
    message.field.push(new(name, number, kind, label));
    Some(())
}

fn declare(
    declared: &[MessageDescriptor],
    values: &[EnumDescriptor],
    scope: &str,
    messages: &mut BTreeSet<String>,
    enums: &mut BTreeSet<String>,
) {
    enums.extend(values.iter().map(|values| format!("{scope}.{}", values.name)));
    for message in declared {
        let full = format!("{scope}.{}", message.name);
        declare(&message.nested_type, &message.enum_type, &full, messages, enums);
        messages.insert(full);
    }
}

/// Finds what the names of types mean: something within the message, or around it.
fn resolve(
    declared: &mut [MessageDescriptor],
    scope: &str,
    messages: &BTreeSet<String>,
    enums: &BTreeSet<String>,
) -> Result<(), String> {
    for message in declared {
        let full = format!("{scope}.{}", message.name);
        resolve(&mut message.nested_type, &full, messages, enums)?;
        for field in &mut message.field {
            let named = field.type_name.take().unwrap_or_default();
            if let Some((_, kind)) = SCALARS.iter().find(|(scalar, _)| *scalar == named) {
                field.kind = *kind;
                continue;
            }
            let mut around = full.as_str();
            field.type_name = loop {
                let candidate = format!("{around}.{named}");
                if messages.contains(&candidate) {
                    field.kind = MESSAGE;
                    break Some(format!(".{candidate}"));
                }
                if enums.contains(&candidate) {
                    field.kind = ENUM;
                    break Some(format!(".{candidate}"));
                }
                around = match around.rsplit_once('.') {
                    Some((outer, _)) => outer,
                    None => {
                        return Err(format!(
                            "`{full}.{}` is of the unknown type `{named}`",
                            field.name
                        ));
                    }
                };
            };
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_are_read_and_their_names_resolved() {
        for (name, text) in FILES {
            let schema = parse(name, text).unwrap();
            assert_eq!(schema.file.service.len(), 1, "{name}");
            assert!(schema.symbols.len() > 3, "{name}");
        }
        let schema = parse(FILES[0].0, FILES[0].1).unwrap();
        for symbol in [
            "inference.GRPCInferenceService.ModelInfer",
            "inference.ModelInferRequest.InferInputTensor",
            "inference.DataType",
        ] {
            assert!(schema.symbols.contains(symbol), "{symbol}");
        }
        let request = schema
            .file
            .message_type
            .iter()
            .find(|m| m.name == "ModelInferRequest");
        let parameters = &request.unwrap().field[3];
        assert_eq!(
            (parameters.kind, parameters.type_name.as_deref()),
            (MESSAGE, Some(".inference.ModelInferRequest.ParametersEntry"))
        );
    }

    #[test]
    fn what_is_not_known_is_refused_with_its_line() {
        let told = parse("a.proto", "package p;\nmessage M {\n  T x = 1;\n}").unwrap_err();
        assert_eq!(told, "`p.M.x` is of the unknown type `T`");
        let told = parse("a.proto", "package p;\noption x = 1;").unwrap_err();
        assert!(told.contains("line 2"), "{told}");
        assert!(parse("a.proto", "message M {").is_err());
        assert!(parse("a.proto", "message M {\n  string  = 1;\n  map<x> y = 1;\n}").is_err());
    }
}
