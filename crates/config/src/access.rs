//! Who may call what: the file's `access` and `deny`, and the body limits by surface.

use std::sync::Arc;

use gateway_n8n::{Bodies, Endpoints, Surface, Surfaces, Tail, Upgrade};
use gateway_policy::{Access, Network, PathRules, Place, Source, Who};

use crate::{
    at::{At, Keyed, OneOrMany},
    de::Session,
    grants::{Authorities, who},
    networks::{Networks, prefix},
    problem::did_you_mean,
    raw,
    text::Size,
};

/// n8n as the file describes it, and whom the problems go to.
pub(crate) struct Surroundings<'s> {
    pub(crate) endpoints: &'s Endpoints,
    pub(crate) surfaces: &'s Surfaces,
    pub(crate) networks: &'s Networks,
    pub(crate) session: &'s Session<'s>,
}

/// Surfaces, besides the editor, that nobody opens to the world on purpose.
const RISKY: [Surface; 5] =
    [Surface::Rest, Surface::SignIn, Surface::Push, Surface::Metrics, Surface::Internal];

pub(crate) fn access(
    raw: Option<At<Keyed<OneOrMany<raw::Grant>>>>,
    around: &Surroundings<'_>,
    authorities: &mut Authorities<'_>,
) -> Access {
    let mut rules = Vec::new();
    for (key, value) in raw.and_then(|raw| raw.value).unwrap_or_default().0 {
        let target = target(&key, around);
        let admitted = value.value.map(|list| who(value.place, list, around, authorities));
        if let (Some((surface, path)), Some(Some(who))) = (target, admitted) {
            rules.push((surface, path, who, key.place));
        }
    }
    let editor =
        rules.iter().find(|(surface, path, ..)| *surface == Surface::Editor && path.is_empty());
    let (who, source) = match editor {
        Some((.., who, place)) => (who.clone(), Source::Written(*place)),
        None => (Who::Nobody, Source::Default),
    };
    let top = Place { line: 1, column: 1 };
    let place = editor.map_or(top, |(.., place)| *place);
    match who {
        Who::Anyone => {
            let hint = "name the networks that may sign in: `editor: team`";
            let message = "the editor is open to anyone";
            around.session.warning(place, message, Some(hint.to_owned()));
        }
        Who::Nobody => {
            let hint = "add `access: { editor: team }` and the network `team`";
            let message = "nobody may reach the editor";
            around.session.warning(place, message, Some(hint.to_owned()));
        }
        Who::Granted(_) => {}
    }
    let mut access = Access::new(&who, source);
    for (surface, path, who, place) in rules {
        if matches!(who, Who::Anyone) && RISKY.contains(&surface) {
            let message = format!("the surface `{}` is open to anyone", surface.name());
            let hint = "nothing that third parties call is there".to_owned();
            around.session.warning(place, message, Some(hint));
        }
        access.set(surface, &path, who, Source::Written(place));
    }
    access
}

/// A list of names of networks: `deny`, `bans.never`.
pub(crate) fn networks_of(
    raw: Option<At<OneOrMany<String>>>,
    around: &Surroundings<'_>,
) -> Vec<(Arc<Network>, Source)> {
    let list = raw.and_then(|raw| raw.value).map(|list| list.0).unwrap_or_default();
    let named = |one: At<String>| {
        let place = one.place;
        network(place, &one.value?, around).map(|network| (network, Source::Written(place)))
    };
    list.into_iter().filter_map(named).collect()
}

/// The largest body by surface, n8n's own values unless the file says otherwise.
pub(crate) fn bodies(
    raw: Option<At<Keyed<Size>>>,
    around: &Surroundings<'_>,
) -> Vec<PathRules<u64>> {
    let mut entries = raw.and_then(|raw| raw.value).unwrap_or_default().0;
    let is_default = |key: &At<String>| key.value.as_deref() == Some("default");
    let default = entries.iter().position(|(key, _)| is_default(key)).map(|at| entries.remove(at));
    let of_surface = |surface: Surface| {
        let bodies = surface.row().bodies;
        let written = default.as_ref().filter(|_| bodies == Bodies::Payload);
        let written = written.and_then(|(key, size)| Some((key.place, size.value.as_ref()?.0)));
        let mut rules = match written {
            Some((place, size)) => PathRules::new(size, Source::Written(place)),
            None => PathRules::new(bodies.limit(), Source::Default),
        };
        for upload in surface.uploads() {
            rules.insert(upload, Bodies::Files.limit(), Source::Default);
        }
        rules
    };
    let mut all: Vec<_> = Surface::all().map(of_surface).collect();
    for (key, size) in entries {
        let Some((surface, path)) = target(&key, around) else { continue };
        if let (Some(rules), Some(size)) = (all.get_mut(surface as usize), size.value) {
            rules.insert(&path, size.0, Source::Written(key.place));
        }
    }
    all
}

/// `surface` or `surface/path`, checked against the surface table.
pub(crate) fn target(key: &At<String>, around: &Surroundings<'_>) -> Option<(Surface, String)> {
    let text = key.value.as_deref()?;
    let (name, path) = text.split_once('/').unwrap_or((text, ""));
    let path = path.trim_matches('/');
    let Some(surface) = Surface::named(name) else {
        let names = Surface::all().map(Surface::name);
        let hint = did_you_mean(name, names.clone())
            .unwrap_or_else(|| format!("surfaces: {}", names.collect::<Vec<_>>().join(", ")));
        around.session.error(key.place, format!("n8n has no surface `{name}`"), Some(hint));
        return None;
    };
    if !path.is_empty() && !path_is_there(surface, path, key.place, around) {
        return None;
    }
    let path = match surface.row().tail {
        // As n8n prints a path with parameters.
        Tail::Secret => with_stars(path),
        Tail::Plain => path.to_owned(),
    };
    Some((surface, path))
}

/// A webhook's path with `*` in place of each of its parameters.
pub(crate) fn with_stars(path: &str) -> String {
    let segments = path.split('/').map(|it| if it.starts_with(':') { "*" } else { it });
    segments.collect::<Vec<_>>().join("/")
}

/// Whether a request for `path` could ever be on `surface`: a rule that never holds is a mistake.
fn path_is_there(surface: Surface, path: &str, place: Place, around: &Surroundings<'_>) -> bool {
    let (session, row) = (around.session, surface.row());
    if row.tail == Tail::Secret {
        let odd = path.split('/').any(|part| matches!(part, "" | "." | ".."));
        if odd {
            session.error(place, format!("`{path}` is not a path"), None);
        }
        return !odd;
    }
    let socket = row.mounts.iter().any(|mount| mount.upgrade == Upgrade::Only);
    // Below a segment that can be renamed, below the surface's own name, or as the whole path.
    let roots = row.mounts.iter().map(|mount| around.endpoints.segment(mount.root));
    let below =
        |root: &str| if root.is_empty() { format!("/{path}") } else { format!("/{root}/{path}") };
    let paths: Vec<String> = roots.chain([row.name, ""]).map(below).collect();
    let is_there = |whole: &String| {
        let located = around.surfaces.locate(whole, socket);
        located.is_ok_and(|it| it.surface == surface && it.tail == path)
    };
    if paths.iter().any(is_there) {
        return true;
    }
    let whole = paths.first().map_or("", String::as_str);
    match around.surfaces.locate(whole, socket) {
        Ok(other) => {
            let hint = format!("write `{}/{}`", other.surface.name(), other.tail);
            let message = format!("`{whole}` belongs to the surface `{}`", other.surface.name());
            session.error(place, message, Some(hint));
        }
        Err(ambiguity) => {
            session.error(
                place,
                format!("`{whole}` would never be let through: {ambiguity}"),
                None,
            );
        }
    }
    false
}

pub(crate) fn network(place: Place, name: &str, around: &Surroundings<'_>) -> Option<Arc<Network>> {
    let found = around.networks.by_name.get(name);
    if found.is_none() {
        let names = around.networks.by_name.keys().map(String::as_str);
        let hint = match prefix(name) {
            Some(_) => Some(format!("give it a name: `networks: {{ team: [{name}] }}`")),
            None => did_you_mean(name, names.chain(["anyone", "nobody"])),
        };
        around.session.error(place, format!("no network is named `{name}`"), hint);
    }
    found.cloned()
}
