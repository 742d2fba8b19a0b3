//! Values that remember their place, and that break alone: what cannot be read is reported once
//! and leaves a gap, so that everything else in the file is still checked.

use std::{borrow::Cow, fmt, marker::PhantomData};

use gateway_policy::Place;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// The newtype name by which [`At`] asks the deserializer for a place.
pub(crate) const AT: &str = "$at";

/// The newtype name by which [`Shaped`] asks the deserializer for a shape.
pub(crate) const SHAPE: &str = "$shape";

/// A value and its place; no value if it could not be read, which has then been reported.
#[derive(Clone, Debug)]
pub(crate) struct At<T> {
    pub(crate) place: Place,
    pub(crate) value: Option<T>,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Placed<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Placed<T> {
            type Value = At<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value with its place")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<At<T>, A::Error> {
                let line = seq.next_element()?.unwrap_or_default();
                let column = seq.next_element()?.unwrap_or_default();
                // The deserializer has reported a value that it could not read.
                let value = seq.next_element().unwrap_or_default();
                Ok(At { place: Place { line, column }, value })
            }
        }

        deserializer.deserialize_newtype_struct(AT, Placed(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A mapping whose keys are the operator's own names, in the file's order.
#[derive(Clone, Debug)]
pub(crate) struct Keyed<T>(pub(crate) Vec<(At<String>, At<T>)>);

impl<T> Default for Keyed<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Keyed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Keyed<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keyed<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Keyed(entries))
            }
        }

        deserializer.deserialize_map(Entries(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Keyed<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("MapOf{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<T>();
        schemars::json_schema!({ "type": "object", "additionalProperties": value })
    }
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Scalar,
    Sequence,
    Mapping,
}

/// A value that may be written in more than one shape.
pub(crate) trait Shaped<'de>: Sized {
    /// What is expected, for the error message.
    const EXPECTED: &'static str;

    /// Reads the value, which has `shape`, as the next element of `value`.
    fn read<A: SeqAccess<'de>>(shape: Shape, value: A) -> Result<Self, A::Error>;
}

/// [`Deserialize`] for a [`Shaped`] value.
pub(crate) fn by_shape<'de, T: Shaped<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    struct ByShape<T>(PhantomData<T>);

    impl<'de, T: Shaped<'de>> Visitor<'de> for ByShape<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(T::EXPECTED)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<T, A::Error> {
            let shape = match seq.next_element::<u8>()? {
                Some(0) => Shape::Scalar,
                Some(1) => Shape::Sequence,
                Some(_) | None => Shape::Mapping,
            };
            T::read(shape, seq)
        }
    }

    deserializer.deserialize_newtype_struct(SHAPE, ByShape(PhantomData))
}

/// The next element, which the deserializer always has.
pub(crate) fn the_value<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(
    mut seq: A,
) -> Result<T, A::Error> {
    seq.next_element()?.ok_or_else(|| serde::de::Error::custom("no value"))
}

/// One value, or a list of them.
#[derive(Clone, Debug)]
pub(crate) struct OneOrMany<T>(pub(crate) Vec<At<T>>);

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Shaped<'de> for OneOrMany<T> {
    const EXPECTED: &'static str = "a value or a list of values";

    fn read<A: SeqAccess<'de>>(shape: Shape, value: A) -> Result<Self, A::Error> {
        match shape {
            Shape::Sequence => the_value(value).map(OneOrMany),
            Shape::Scalar | Shape::Mapping => the_value(value).map(|one| Self(vec![one])),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        by_shape(deserializer)
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        let many = one.clone();
        schemars::json_schema!({ "anyOf": [one, { "type": "array", "items": many }] })
    }
}
