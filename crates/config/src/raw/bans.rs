//! The sections `rate_limits` and `bans` as they are written.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess};

use crate::{
    at::{At, Keyed, OneOrMany, Shape, Shaped, by_shape, the_value},
    text::{Rate, Span},
};

/// How often something may be asked.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limit {
    /// Who shares the budget: `client` (the default), `account` (below `sign-in`), `path`, `all`.
    pub(crate) per: Option<At<Per>>,
    /// How fast it comes back: `10/min`, `50/s`, `100/h`, `20/5m`; `off` to switch a default off.
    #[schemars(required)]
    pub(crate) rate: Option<At<Rate>>,
    /// How many at once. Default: the rate's own number.
    #[schemars(range(min = 1))]
    pub(crate) burst: Option<At<u32>>,
    /// Decide, count and log, but refuse nothing.
    pub(crate) dry_run: Option<At<bool>>,
}

/// Who shares a budget.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Per {
    Client,
    Account,
    Path,
    All,
}

/// Who is banned, when, and for how long: fail2ban's words and numbers.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bans {
    /// Networks whose offences are not counted. This machine, its default gateway and trusted
    /// proxies are never banned anyway.
    pub(crate) never: Option<At<OneOrMany<String>>>,
    /// What is not named has its default.
    pub(crate) jails: Option<At<Keyed<Jail>>>,
    /// How bans grow. On by default; `false` for bans that do not.
    pub(crate) increment: Option<At<Switch<Increment>>>,
    /// When a client that was banned again and again is banned for long. On by default; `false`
    /// for never.
    pub(crate) recidive: Option<At<Switch<Jail>>>,
    /// Tell nftables as well, in a set of its own that the operator's rules drop. Default `false`.
    pub(crate) nftables: Option<At<bool>>,
}

/// When a jail bans, and for how long.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Jail {
    /// How many offences within `find_time` are too many.
    #[schemars(range(min = 1, max = 200))]
    pub(crate) max_retry: Option<At<u16>>,
    /// How long an offence is held against a client. A bare number is seconds.
    pub(crate) find_time: Option<At<Span>>,
    /// How long the first ban lasts. A bare number is seconds.
    pub(crate) ban_time: Option<At<Span>>,
    /// `false` closes the jail: nothing is counted in it. Default `true`.
    pub(crate) enabled: Option<At<bool>>,
    /// Decide, count and log, but ban nobody.
    pub(crate) dry_run: Option<At<bool>>,
}

/// How bans grow: by fail2ban's formula, `ban_time * 2^n * factor` after n bans.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Increment {
    /// Default 1.
    pub(crate) factor: Option<At<f64>>,
    /// Instead of powers of two: what `ban_time` is multiplied by after no ban, one ban, and so
    /// on; the last one holds for all that follow.
    pub(crate) multipliers: Option<At<OneOrMany<u32>>>,
    /// The longest ban. Default `1w`.
    pub(crate) max_time: Option<At<Span>>,
    /// Up to so much is added by chance. Default `0s`.
    pub(crate) rnd_time: Option<At<Span>>,
}

/// On, off, or on with settings.
#[derive(Debug)]
pub(crate) enum Switch<T> {
    Plain(bool),
    Set(T),
}

impl<T: Default> Default for Switch<T> {
    fn default() -> Self {
        Self::Set(T::default())
    }
}

impl<'de, T: Deserialize<'de>> Shaped<'de> for Switch<T> {
    const EXPECTED: &'static str = "`true`, `false` or a mapping";

    fn read<A: SeqAccess<'de>>(shape: Shape, value: A) -> Result<Self, A::Error> {
        match shape {
            Shape::Scalar => the_value(value).map(Self::Plain),
            Shape::Mapping | Shape::Sequence => the_value(value).map(Self::Set),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Switch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        by_shape(deserializer)
    }
}

impl<T: JsonSchema> JsonSchema for Switch<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("SwitchOf{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let set = generator.subschema_for::<T>();
        schemars::json_schema!({ "anyOf": [{ "type": "boolean" }, set] })
    }
}
