//! Who may call a surface.

use std::{net::IpAddr, sync::Arc};

use gateway_n8n::{Audience, Surface};

use crate::{Network, PathRules, Rule, Source, rules::Encoded};

/// Who may call.
#[derive(Clone, Debug)]
pub enum Who {
    /// Everybody.
    Anyone,
    /// Nobody.
    Nobody,
    /// Clients in one of these networks.
    Networks(Vec<Arc<Network>>),
}

impl Who {
    /// Whether `address` is among them.
    #[must_use]
    pub fn includes(&self, address: IpAddr) -> bool {
        match self {
            Self::Anyone => true,
            Self::Nobody => false,
            Self::Networks(networks) => networks.iter().any(|network| network.contains(address)),
        }
    }
}

/// Who may call which surface, and which path below it.
#[derive(Clone, Debug)]
pub struct Access {
    /// In the order of [`Surface::all`].
    surfaces: Vec<PathRules<Who>>,
}

impl Access {
    /// Every surface at its default; those that follow the editor do as `editor` says.
    #[must_use]
    pub fn new(editor: &Who, source: Source) -> Self {
        let rules = |surface: Surface| match surface.row().audience {
            Audience::Anyone => PathRules::new(Who::Anyone, Source::Default),
            Audience::Nobody => PathRules::new(Who::Nobody, Source::Default),
            Audience::Editors => PathRules::new(
                editor.clone(),
                match source {
                    Source::Written(place) if surface != Surface::Editor => {
                        Source::FollowsEditor(place)
                    }
                    Source::Written(_) | Source::FollowsEditor(_) | Source::Default => source,
                },
            ),
        };
        Self { surfaces: Surface::all().map(rules).collect() }
    }

    /// Says who may call `path` below `surface`; an empty path stands for the whole surface.
    pub fn set(&mut self, surface: Surface, path: &str, who: Who, source: Source) {
        if let Some(rules) = self.surfaces.get_mut(surface as usize) {
            rules.insert(path, who, source);
        }
    }

    /// The rules of one surface.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "made with a set of rules for each surface")]
    pub fn of(&self, surface: Surface) -> &PathRules<Who> {
        &self.surfaces[surface as usize]
    }

    pub(crate) fn find(&self, surface: Surface, tail: &str) -> Result<&Rule<Who>, Encoded> {
        self.of(surface).find(surface, tail)
    }
}
