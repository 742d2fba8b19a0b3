//! `attacks` as it is written.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess};

use crate::{
    at::{At, Keyed, OneOrMany, Shape, Shaped, by_shape, the_value},
    text::Size,
};

/// Known attacks on n8n.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Attacks {
    /// `auto` (the default) stops what n8n's release is open to and tells the rest; `report`,
    /// `block`, `off`.
    pub(crate) mode: Option<At<AttackMode>>,
    /// Another mode for single entries, by their ids (`n8n-gateway attacks list`).
    pub(crate) entries: Option<At<Keyed<AttackMode>>>,
    /// The largest body that is read to look for attacks: not less than n8n's own
    /// `N8N_PAYLOAD_SIZE_MAX`. A larger one is refused (413) where n8n's release has a flaw that could
    /// be in it or an entry is set to `block`, and passes elsewhere. Files of forms are looked through
    /// as they pass, whatever their size. Default `16MiB`, as n8n's.
    pub(crate) max_body: Option<At<Size>>,
    /// Entries of your own, by a name: lower case, digits and `-`.
    pub(crate) own: Option<At<Keyed<OwnAttack>>>,
}

/// What is done about attacks.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AttackMode {
    Off,
    Report,
    Block,
    Auto,
}

/// An attack that the operator knows. All that is said of a request has to hold, and one of what is
/// said of its body.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnAttack {
    /// What it does, in a line.
    pub(crate) title: Option<At<String>>,
    /// `block` (the default), `report` or `off`; `auto` with `affected`.
    pub(crate) mode: Option<At<AttackMode>>,
    /// The releases of n8n that are open to it: `<1.123.83, 2.x <2.41.4, 2.42.0`.
    pub(crate) affected: Option<At<String>>,
    /// The surfaces where it is made.
    #[schemars(required)]
    pub(crate) surfaces: Option<At<OneOrMany<String>>>,
    /// Its methods. Default: any.
    pub(crate) methods: Option<At<OneOrMany<String>>>,
    /// The path below the surface: segments, `*` for any one, `**` at the end for what follows.
    /// Default: any.
    pub(crate) path: Option<At<String>>,
    /// Parameters of the query, by name.
    pub(crate) query: Option<At<Keyed<Test>>>,
    /// Header fields, by name.
    pub(crate) headers: Option<At<Keyed<Test>>>,
    /// Cookies, by name.
    pub(crate) cookies: Option<At<Keyed<Test>>>,
    /// Fields of the body (JSON, forms, XML), by their place: `name`, `nodes.*.type`, `**.name`.
    pub(crate) fields: Option<At<Keyed<Test>>>,
    /// Names of files in a form.
    pub(crate) files: Option<At<Test>>,
}

/// What has to be so of a value: `present`, `absent`, or something of its text.
#[derive(Debug)]
pub(crate) enum Test {
    Presence(Presence),
    Text(TextTest),
}

/// Whether something is there.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Presence {
    Present,
    Absent,
}

/// What has to be so of a text; one of these.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TextTest {
    /// It is one of these, as they are spelled.
    pub(crate) is: Option<At<OneOrMany<String>>>,
    /// One of these is in it, in any case.
    pub(crate) contains: Option<At<OneOrMany<String>>>,
    /// It begins with one of these, in any case.
    pub(crate) begins: Option<At<OneOrMany<String>>>,
    /// It is longer.
    pub(crate) longer: Option<At<Size>>,
}

impl<'de> Shaped<'de> for Test {
    const EXPECTED: &'static str = "`present`, `absent`, or a mapping with `is`, `contains`, \
                                    `begins` or `longer`";

    fn read<A: SeqAccess<'de>>(shape: Shape, value: A) -> Result<Self, A::Error> {
        match shape {
            Shape::Mapping => the_value(value).map(Self::Text),
            Shape::Scalar | Shape::Sequence => the_value(value).map(Self::Presence),
        }
    }
}

impl<'de> Deserialize<'de> for Test {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        by_shape(deserializer)
    }
}

impl JsonSchema for Test {
    fn schema_name() -> Cow<'static, str> {
        "Test".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let presence = generator.subschema_for::<Presence>();
        let text = generator.subschema_for::<TextTest>();
        schemars::json_schema!({ "anyOf": [presence, text] })
    }
}
