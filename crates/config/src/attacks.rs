//! Known attacks: the catalogue, what the policy says of its entries, and the operator's own.

use std::{borrow::Cow, str::FromStr, sync::Arc};

use gateway_n8n::{
    Affected, Surface,
    attacks::{
        BodyTest, Entry, FieldPath, HeadTest, Kinds, Likeness, Part, Presence, Route, Shape, Text,
        catalogue,
    },
    has_method,
};
use gateway_policy::{AttackMode, Attacks, KnownAttack, Source};
use http::Method;

use crate::{
    at::{At, Keyed, OneOrMany},
    compile::taken,
    de::Session,
    problem::did_you_mean,
    raw::{self, OwnAttack, Test, TextTest},
    text::Size,
};

/// n8n's own limit of what it reads whole.
const MAX_BODY: usize = 16 << 20;

/// The most that may be read: it is kept in memory while it is.
const MOST: u64 = 256 << 20;

pub(crate) fn attacks(raw: raw::Attacks, session: &Session<'_>) -> Attacks {
    let raw::Attacks { mode, entries, max_body, own } = raw;
    let (standard, source) = match mode {
        Some(At { place, value: Some(mode) }) => (mode_of(mode), Source::Written(place)),
        Some(At { value: None, .. }) | None => (AttackMode::Auto, Source::Default),
    };
    let known = |entry| KnownAttack { entry: Arc::new(entry), mode: standard, source };
    let mut all: Vec<KnownAttack> = catalogue().into_iter().map(known).collect();
    for (id, mode) in taken(entries).0 {
        let (Some(name), Some(mode)) = (id.value, mode.value) else { continue };
        match all.iter_mut().find(|it| it.entry.id == name) {
            Some(known) => (known.mode, known.source) = (mode_of(mode), Source::Written(id.place)),
            None => {
                let ids = all.iter().map(|it| &*it.entry.id);
                let hint = did_you_mean(&name, ids)
                    .or_else(|| Some("`n8n-gateway attacks list` shows all".to_owned()));
                session.error(id.place, format!("no attack is called `{name}`"), hint);
            }
        }
    }
    for (name, attack) in taken(own).0 {
        let (Some(id), Some(attack)) = (name.value, attack.value) else { continue };
        if !is_name(&id) || all.iter().any(|it| it.entry.id == id) {
            let hint = "another one: lower case, digits and `-`".to_owned();
            session.error(name.place, format!("`{id}` is no name for an attack"), Some(hint));
            continue;
        }
        let source = Source::Written(name.place);
        let mode = attack.mode.as_ref().and_then(|it| it.value);
        let mode = mode.map_or(AttackMode::Block, mode_of);
        if let Some(entry) = own_entry(id, attack, name.place, session) {
            all.push(KnownAttack { entry: Arc::new(entry), mode, source });
        }
    }
    Attacks::new(all, body_limit(max_body.as_ref(), session))
}

fn mode_of(mode: raw::AttackMode) -> AttackMode {
    match mode {
        raw::AttackMode::Off => AttackMode::Off,
        raw::AttackMode::Report => AttackMode::Report,
        raw::AttackMode::Block => AttackMode::Block,
        raw::AttackMode::Auto => AttackMode::Auto,
    }
}

fn body_limit(raw: Option<&At<Size>>, session: &Session<'_>) -> usize {
    let Some(At { place, value: Some(Size(bytes)) }) = raw else { return MAX_BODY };
    let (place, bytes) = (*place, *bytes);
    if !(1024..=MOST).contains(&bytes) {
        session.error(place, "out of range", Some("1KiB to 256MiB".to_owned()));
    }
    usize::try_from(bytes).unwrap_or(MAX_BODY)
}

fn is_name(id: &str) -> bool {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    id.starts_with(|c: char| c.is_ascii_lowercase()) && id.len() <= 64 && id.chars().all(letter)
}

fn own_entry(
    id: String,
    raw: OwnAttack,
    place: gateway_policy::Place,
    session: &Session<'_>,
) -> Option<Entry> {
    let OwnAttack {
        title,
        mode: _,
        affected,
        surfaces,
        methods,
        path,
        query,
        headers,
        cookies,
        fields,
        files,
    } = raw;
    let surfaces = surfaces_of(taken(surfaces), session);
    if surfaces.is_empty() {
        let hint = "surfaces: [webhook]".to_owned();
        session.error(place, "an attack needs the surfaces it is made on", Some(hint));
        return None;
    }
    let mut head = Vec::new();
    let parts: [(_, fn(Cow<'static, str>) -> Part); 3] =
        [(query, Part::Query), (headers, Part::Header), (cookies, Part::Cookie)];
    for (tests, part) in parts {
        for (name, test) in taken(tests).0 {
            let (Some(name), Some(presence)) = (name.value, presence_of(test, session)) else {
                continue;
            };
            head.push(HeadTest { part: part(Cow::Owned(name)), presence });
        }
    }
    let mut body = body_of(taken(fields), session);
    if let Some(test) = files
        && let Ok(text) = text_in(test, session)
    {
        body.extend(text.map(BodyTest::FileName));
    }
    let route: Option<At<Route>> = parsed(path, session);
    let route = route.and_then(|it| it.value);
    let affected: Option<At<Affected>> = parsed(affected, session);
    if route.is_none() && head.is_empty() && body.is_empty() {
        let hint = "say something of its path, query, header, cookies, fields or files".to_owned();
        session.error(place, "every request there would be this attack", Some(hint));
        return None;
    }
    let shape = Shape { surfaces, methods: methods_of(taken(methods), session), route, head, body };
    Some(Entry {
        id: Cow::Owned(id),
        title: Cow::Owned(title.and_then(|it| it.value).unwrap_or_default()),
        source: Cow::Borrowed(""),
        affected: affected.and_then(|it| it.value),
        // Its author knows what is honest there; nobody is banned for it.
        likeness: Likeness::Seldom,
        shapes: vec![shape],
        advice: "",
        told: "",
    })
}

/// What a text says, or its mistake.
fn parsed<T>(text: Option<At<String>>, session: &Session<'_>) -> Option<At<T>>
where
    T: FromStr<Err: std::fmt::Display>,
{
    let At { place, value } = text?;
    match value?.parse() {
        Ok(value) => Some(At { place, value: Some(value) }),
        Err(why) => {
            session.error(place, why.to_string(), None);
            None
        }
    }
}

fn surfaces_of(names: OneOrMany<String>, session: &Session<'_>) -> Vec<Surface> {
    let mut surfaces = Vec::new();
    for At { place, value } in names.0 {
        let Some(name) = value else { continue };
        match Surface::named(&name) {
            Some(surface) => surfaces.push(surface),
            None => {
                let hint = did_you_mean(&name, Surface::all().map(Surface::name));
                session.error(place, format!("no surface is called `{name}`"), hint);
            }
        }
    }
    surfaces
}

fn methods_of(names: OneOrMany<String>, session: &Session<'_>) -> Vec<Method> {
    let mut methods = Vec::new();
    for At { place, value } in names.0 {
        let Some(name) = value else { continue };
        match Method::try_from(name.as_str()).ok().filter(has_method) {
            Some(method) => methods.push(method),
            None => session.error(place, format!("n8n has no method `{name}`"), None),
        }
    }
    methods
}

fn presence_of(test: At<Test>, session: &Session<'_>) -> Option<Presence> {
    match test.value? {
        Test::Presence(raw::Presence::Present) => Some(Presence::Present),
        Test::Presence(raw::Presence::Absent) => Some(Presence::Absent),
        Test::Text(text) => text_of(text, test.place, session).map(Presence::Value),
    }
}

fn body_of(fields: Keyed<Test>, session: &Session<'_>) -> Vec<BodyTest> {
    let mut tests = Vec::new();
    for (name, test) in fields.0 {
        let path: Option<At<FieldPath>> = parsed(Some(name), session);
        let path = path.and_then(|it| it.value);
        if let (Some(path), Ok(text)) = (path, text_in(test, session)) {
            tests.push(BodyTest::Field(Kinds::All, path, text));
        }
    }
    tests
}

/// What cannot be used, and has been reported.
struct Reported;

/// What has to be so of something in a body; nothing if it only has to be there.
fn text_in(test: At<Test>, session: &Session<'_>) -> Result<Option<Text>, Reported> {
    match test.value.ok_or(Reported)? {
        Test::Presence(raw::Presence::Present) => Ok(None),
        Test::Presence(raw::Presence::Absent) => {
            let hint = "`present`, or something of its text".to_owned();
            session.error(test.place, "what is not in a body is not looked for", Some(hint));
            Err(Reported)
        }
        Test::Text(text) => text_of(text, test.place, session).map(Some).ok_or(Reported),
    }
}

fn text_of(raw: TextTest, place: gateway_policy::Place, session: &Session<'_>) -> Option<Text> {
    let TextTest { is, contains, begins, longer } = raw;
    let texts = |list: Option<At<OneOrMany<String>>>| -> Vec<Cow<'static, str>> {
        taken(list).0.into_iter().filter_map(|it| it.value.map(Cow::Owned)).collect()
    };
    let (is, contains, begins) = (texts(is), texts(contains), texts(begins));
    let longer = longer.and_then(|it| it.value).and_then(|Size(it)| usize::try_from(it).ok());
    let mut said = [
        (!is.is_empty()).then_some(Text::OneOf(is)),
        (!contains.is_empty()).then_some(Text::Contains(contains)),
        (!begins.is_empty()).then_some(Text::Begins(begins)),
        longer.map(Text::Longer),
    ]
    .into_iter()
    .flatten();
    match (said.next(), said.next()) {
        (Some(text), None) => Some(text),
        _ => {
            let hint = "one of `is`, `contains`, `begins` and `longer`".to_owned();
            session.error(place, "not one thing that is said of a text", Some(hint));
            None
        }
    }
}
