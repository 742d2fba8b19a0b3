//! From the tree to the file's own types. Every failure is reported with its place where it
//! happens; [`At`](crate::at::At) then leaves a gap and reading goes on.

use std::{cell::RefCell, fmt, path::Path};

use gateway_policy::Place;
use serde::{
    de::{self, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor},
    forward_to_deserialize_any,
};

use zeroize::Zeroizing;

use crate::{
    Problems, Severity, World,
    at::{AT, SHAPE},
    problem::did_you_mean,
    secret::SECRET,
    world::Reference,
    yaml::{Key, Kind, Node},
};

/// Reading one file: where its problems go, and where its references lead.
pub(crate) struct Session<'s> {
    pub(crate) file: &'s Path,
    pub(crate) world: &'s dyn World,
    pub(crate) problems: RefCell<Problems>,
}

impl Session<'_> {
    pub(crate) fn error(&self, place: Place, message: impl Into<String>, hint: Option<String>) {
        let mut problems = self.problems.borrow_mut();
        problems.add(Severity::Error, self.file, Some(place), message, hint);
    }

    pub(crate) fn warning(&self, place: Place, message: impl Into<String>, hint: Option<String>) {
        let mut problems = self.problems.borrow_mut();
        problems.add(Severity::Warning, self.file, Some(place), message, hint);
    }
}

/// That a value could not be read; nothing inside once it has been reported.
#[derive(Debug)]
pub(crate) struct Failed(Option<String>);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("reported"))
    }
}

impl std::error::Error for Failed {}

impl de::Error for Failed {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(Some(message.to_string()))
    }
}

/// A node being read.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'n> {
    pub(crate) node: &'n Node,
    pub(crate) session: &'n Session<'n>,
}

impl<'n> Reader<'n> {
    fn at(self, node: &'n Node) -> Self {
        Self { node, ..self }
    }

    /// Reports a failure here, unless it has been reported further in.
    fn blame<T>(self, result: Result<T, Failed>) -> Result<T, Failed> {
        result.map_err(|Failed(message)| {
            if let Some(message) = message {
                self.session.error(self.node.place, message, None);
            }
            Failed(None)
        })
    }

    /// The scalar's text, with a reference followed, and whether it was one.
    fn text(self) -> Result<(String, bool), Failed> {
        let Kind::Scalar { text, .. } = &self.node.kind else {
            return Err(Failed(Some(format!("expected a text, found {}", self.shape_name()))));
        };
        match Reference::parse(text) {
            Ok(None) => Ok((text.clone(), false)),
            Ok(Some(reference)) => {
                let value = reference.follow(self.session.file, self.session.world);
                value.map(|value| (value, true)).map_err(|(why, hint)| {
                    self.session.error(self.node.place, why, hint);
                    Failed(None)
                })
            }
            Err(why) => Err(Failed(Some(why))),
        }
    }

    fn shape_name(self) -> &'static str {
        match self.node.kind {
            Kind::Scalar { .. } => "a text",
            Kind::Sequence(_) => "a list",
            Kind::Mapping(_) => "a mapping",
        }
    }

    fn is_null(self) -> bool {
        matches!(&self.node.kind, Kind::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null"))
    }

    fn scalar<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        let (text, _) = self.text()?;
        let plain = matches!(self.node.kind, Kind::Scalar { plain: true, .. });
        match text.as_str() {
            _ if !plain => visitor.visit_string(text),
            "" | "~" | "null" => visitor.visit_unit(),
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            other => match (other.parse::<u64>(), other.parse::<i64>()) {
                (Ok(number), _) => visitor.visit_u64(number),
                (_, Ok(number)) => visitor.visit_i64(number),
                (Err(_), Err(_)) => visitor.visit_string(text),
            },
        }
    }
}

impl<'de, 'n> de::Deserializer<'de> for Reader<'n> {
    type Error = Failed;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        self.blame(match &self.node.kind {
            Kind::Scalar { .. } => self.scalar(visitor),
            Kind::Sequence(nodes) => visitor.visit_seq(Nodes { nodes: nodes.iter(), of: self }),
            Kind::Mapping(entries) => {
                visitor.visit_map(Entries { entries: entries.iter(), value: None, of: self })
            }
        })
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        self.blame(self.text().and_then(|(text, _)| visitor.visit_string(text)))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failed> {
        let entries = match &self.node.kind {
            Kind::Mapping(entries) => entries.as_slice(),
            Kind::Scalar { .. } if self.is_null() => &[],
            Kind::Scalar { .. } | Kind::Sequence(_) => {
                let message = format!("expected a mapping, found {}", self.shape_name());
                return self.blame(Err(Failed(Some(message))));
            }
        };
        let is_known = |key: &Key| fields.contains(&key.text.as_str());
        for (key, _) in entries.iter().filter(|(key, _)| !is_known(key)) {
            let hint = did_you_mean(&key.text, fields.iter().copied())
                .or_else(|| Some(format!("known here: {}", fields.join(", "))));
            self.session.error(key.place, format!("unknown key `{}`", key.text), hint);
        }
        let known: Vec<_> = entries.iter().filter(|(key, _)| is_known(key)).cloned().collect();
        self.blame(visitor.visit_map(Entries { entries: known.iter(), value: None, of: self }))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failed> {
        let read = self.text().and_then(|(text, _)| {
            if variants.contains(&text.as_str()) {
                return visitor.visit_enum(text.into_deserializer());
            }
            let message = format!("`{text}` is not one of {}", variants.join(", "));
            Err(Failed(Some(message)))
        });
        self.blame(read)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Failed> {
        let Place { line, column } = self.node.place;
        match name {
            AT => visitor.visit_seq(Asides { asides: [line, column].into_iter(), then: Some(self) }),
            SHAPE => {
                let shape = match self.node.kind {
                    Kind::Scalar { .. } => 0,
                    Kind::Sequence(_) => 1,
                    Kind::Mapping(_) => 2,
                };
                let asides = Asides { asides: [shape].into_iter(), then: Some(self) };
                self.blame(visitor.visit_seq(asides))
            }
            SECRET => self.blame(self.text().and_then(|(text, followed)| {
                if !followed {
                    let hint = "keep it in a file: ${file:/run/secrets/…}, or in the environment: ${env:…}";
                    let place = self.node.place;
                    self.session.warning(place, "a secret written in clear", Some(hint.to_owned()));
                }
                visitor.visit_str(&Zeroizing::new(text))
            })),
            _ => self.blame(visitor.visit_newtype_struct(self)),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf
        unit unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

/// Numbers that were asked for, then the value itself.
struct Asides<'n, const N: usize> {
    asides: std::array::IntoIter<usize, N>,
    then: Option<Reader<'n>>,
}

impl<'de, const N: usize> SeqAccess<'de> for Asides<'_, N> {
    type Error = Failed;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Failed> {
        match self.asides.next() {
            Some(aside) => seed.deserialize(aside.into_deserializer()).map(Some),
            None => self.then.take().map(|reader| seed.deserialize(reader)).transpose(),
        }
    }
}

struct Nodes<'n> {
    nodes: std::slice::Iter<'n, Node>,
    of: Reader<'n>,
}

impl<'de> SeqAccess<'de> for Nodes<'_> {
    type Error = Failed;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Failed> {
        self.nodes.next().map(|node| seed.deserialize(self.of.at(node))).transpose()
    }
}

struct Entries<'e, 'n> {
    entries: std::slice::Iter<'e, (Key, Node)>,
    value: Option<&'e Node>,
    of: Reader<'n>,
}

impl<'de> MapAccess<'de> for Entries<'_, '_> {
    type Error = Failed;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Failed> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(KeyReader(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Failed> {
        match self.value.take() {
            Some(node) => seed.deserialize(Reader { node, session: self.of.session }),
            None => Err(Failed(Some("no value".to_owned()))),
        }
    }
}

/// A key, with or without its place.
struct KeyReader<'n>(&'n Key);

impl<'de> de::Deserializer<'de> for KeyReader<'_> {
    type Error = Failed;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        visitor.visit_str(&self.0.text)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Failed> {
        let key = self.0;
        if name != AT {
            let unexpected = Unexpected::Str(&key.text);
            return Err(de::Error::invalid_type(unexpected, &visitor));
        }
        visitor.visit_seq(KeyAsides { next: 0, key })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        option unit unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct KeyAsides<'n> {
    next: usize,
    key: &'n Key,
}

impl<'de> SeqAccess<'de> for KeyAsides<'_> {
    type Error = Failed;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Failed> {
        self.next += 1;
        match self.next {
            1 => seed.deserialize(self.key.place.line.into_deserializer()).map(Some),
            2 => seed.deserialize(self.key.place.column.into_deserializer()).map(Some),
            3 => seed.deserialize(KeyReader(self.key)).map(Some),
            _ => Ok(None),
        }
    }
}
