//! An entry of `access` as it is written.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess};

use crate::at::{At, OneOrMany, Shape, Shaped, by_shape, the_value};

/// Who may call: a word, a network's name, or whoever shows a certificate.
#[derive(Debug)]
pub(crate) enum Grant {
    Name(String),
    Certificate(ClientCertificate),
}

/// Whoever shows a certificate of an authority.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClientCertificate {
    /// The authority's certificate, or several, PEM; read again when the file changes.
    #[schemars(required)]
    pub(crate) client_ca: Option<At<String>>,
    /// Networks that it must be shown from as well. Default: from anywhere.
    pub(crate) networks: Option<At<OneOrMany<String>>>,
}

impl<'de> Shaped<'de> for Grant {
    const EXPECTED: &'static str = "a name, or a mapping with `client_ca`";

    fn read<A: SeqAccess<'de>>(shape: Shape, value: A) -> Result<Self, A::Error> {
        match shape {
            Shape::Mapping => the_value(value).map(Self::Certificate),
            Shape::Scalar | Shape::Sequence => the_value(value).map(Self::Name),
        }
    }
}

impl<'de> Deserialize<'de> for Grant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        by_shape(deserializer)
    }
}

impl JsonSchema for Grant {
    fn schema_name() -> Cow<'static, str> {
        "Grant".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let name = generator.subschema_for::<String>();
        let certificate = generator.subschema_for::<ClientCertificate>();
        schemars::json_schema!({ "anyOf": [name, certificate] })
    }
}
