//! What n8n does when it is asked from outside.

use super::{Hops, Observed, Verdict};
use crate::{
    Surface,
    attacks::{Entry, catalogue},
};

pub(super) fn development(seen: &Observed) -> Verdict {
    Verdict::of(&seen.reads_across_origins, |reads| {
        Verdict::found_if(*reads, || "answers name any origin and take its cookies".to_owned())
    })
}

/// n8n limits sign-ins and compares the push channel's origin by one and the same switch.
pub(super) fn no_production(seen: &Observed) -> Verdict {
    Verdict::of(&seen.limits_sign_ins, |limits| {
        Verdict::found_if(!limits, || "no limit on attempts to sign in is told".to_owned())
    })
}

pub(super) fn hops(seen: &Observed) -> Verdict {
    match &seen.hops {
        Ok(Hops::One) => Verdict::Fine,
        Ok(Hops::None) => Verdict::Found(vec!["n8n believes no proxy".to_owned()]),
        Ok(Hops::Many) => Verdict::Found(vec!["n8n believes more than one proxy".to_owned()]),
        // In development n8n shows nobody's address; its environment may say it.
        Err(why) => match seen.variables.as_ref().ok().map(|it| it.value("N8N_PROXY_HOPS")) {
            Some(Some("1")) => Verdict::Fine,
            Some(Some(hops)) => Verdict::Found(vec![format!("`N8N_PROXY_HOPS` is `{hops}`")]),
            Some(None) if seen.variables.as_ref().is_ok_and(|it| it.whole) => {
                Verdict::Found(vec!["`N8N_PROXY_HOPS` is not set, so it is 0".to_owned()])
            }
            Some(None) | None => Verdict::Unknown(why.clone()),
        },
    }
}

pub(super) fn answers_elsewhere(seen: &Observed) -> Verdict {
    Verdict::of(&seen.answers_at, |at| Verdict::found_in(at.clone()))
}

pub(super) fn unclaimed(seen: &Observed) -> Verdict {
    Verdict::of(&seen.settings, |it| {
        Verdict::found_if(it.unclaimed, || "n8n asks for its first owner".to_owned())
    })
}

pub(super) fn cookie(seen: &Observed) -> Verdict {
    Verdict::of(&seen.settings, |it| {
        Verdict::found_if(!it.secure_cookie, || "the cookie is sent in clear, too".to_owned())
    })
}

pub(super) fn preview(seen: &Observed) -> Verdict {
    Verdict::of(&seen.settings, |it| {
        Verdict::found_if(it.preview, || "preview mode is on".to_owned())
    })
}

/// The least that a password should have; n8n's own least is 8.
const PASSWORD: u64 = 12;

pub(super) fn passwords(seen: &Observed) -> Verdict {
    Verdict::of(&seen.settings, |it| match it.password_min_length {
        None => Verdict::Unknown("n8n does not say how long a password is".to_owned()),
        Some(length) => Verdict::found_if(length < PASSWORD, || format!("{length} characters do")),
    })
}

pub(super) fn community(seen: &Observed) -> Verdict {
    Verdict::of(&seen.settings, |it| {
        Verdict::found_if(it.community_nodes && !seen.packages_closed, || {
            "owners and admins may install them".to_owned()
        })
    })
}

pub(super) fn base_url(seen: &Observed) -> Verdict {
    Verdict::of(&seen.settings, |it| match &it.base_url {
        None => Verdict::Unknown("n8n does not say where it believes it is".to_owned()),
        Some(url) => {
            let rest = url.strip_prefix("https://");
            let host = rest.map(|it| it.split(['/', ':']).next().unwrap_or(it));
            let wrong = !host.is_some_and(|it| it.eq_ignore_ascii_case(&seen.host));
            Verdict::found_if(wrong, || format!("n8n believes it is at {url}"))
        }
    })
}

pub(super) fn metrics_open(seen: &Observed) -> Verdict {
    Verdict::of(&seen.metrics, |served| {
        let open = *served && seen.open_to_anyone.contains(&Surface::Metrics);
        Verdict::found_if(open, || "`access.metrics` lets anybody in".to_owned())
    })
}

pub(super) fn metrics_served(seen: &Observed) -> Verdict {
    Verdict::of(&seen.metrics, |served| {
        Verdict::found_if(*served, || "/metrics answers whoever reaches n8n's port".to_owned())
    })
}

pub(super) fn docs_open(seen: &Observed) -> Verdict {
    Verdict::of(&seen.api_docs, |served| {
        let open = *served && seen.open_to_anyone.contains(&Surface::PublicApi);
        Verdict::found_if(open, || "/api/v1/docs shows anybody what there is".to_owned())
    })
}

pub(super) fn open_surfaces(seen: &Observed) -> Verdict {
    let told = |it: &Surface| format!("`access.{}` lets anybody in", it.name());
    // Metrics have a row of their own, which asks whether n8n has any.
    let open = seen.open_to_anyone.iter().filter(|it| **it != Surface::Metrics);
    Verdict::found_in(open.map(told).collect())
}

/// What the catalogue knows of this release.
pub(super) fn known_attacks(seen: &Observed) -> Verdict {
    Verdict::of(&seen.page, |page| {
        let Some(release) = page.release else {
            return Verdict::Unknown("n8n's page does not tell its release".to_owned());
        };
        let known = catalogue()
            .into_iter()
            .filter(|it| it.affected.as_ref().is_some_and(|affected| affected.contains(release)));
        let told = known.map(|Entry { id, title, shapes, advice, .. }| {
            // The gateway may stop what a request tells.
            if shapes.is_empty() {
                format!("{id}: {title}; no request tells it. {advice}")
            } else {
                format!("{id}: {title}")
            }
        });
        Verdict::found_in(told.collect())
    })
}
