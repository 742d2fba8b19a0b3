//! Who may call a surface.

use std::{net::IpAddr, sync::Arc};

use gateway_n8n::{Audience, Surface};

use crate::{CertificateAuthority, Network, PathRules, Rule, Shown, Source, rules::Encoded};

/// Who may call.
#[derive(Clone, Debug)]
pub enum Who {
    /// Everybody.
    Anyone,
    /// Nobody.
    Nobody,
    /// Whoever one of these lets in.
    Granted(Vec<Grant>),
}

/// One way to be let in.
#[derive(Clone, Debug)]
pub enum Grant {
    /// From an address in a network.
    From(Arc<Network>),
    /// With a certificate.
    With {
        /// Who vouches for it.
        authority: Arc<CertificateAuthority>,
        /// The networks it must be shown from; it may be from anywhere if there are none given.
        from: Option<Vec<Arc<Network>>>,
    },
}

/// Whether somebody is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// They are.
    Open,
    /// They would be, from where they are, with a certificate that they have not shown.
    NeedsCertificate,
    /// They are not, whatever they show.
    Closed,
}

impl Who {
    /// Whether whoever shows `shown` from `address` is among them.
    #[must_use]
    pub fn admits(&self, address: IpAddr, shown: Shown<'_>) -> Admission {
        let grants = match self {
            Self::Anyone => return Admission::Open,
            Self::Nobody => return Admission::Closed,
            Self::Granted(grants) => grants,
        };
        let open = |grant: &Grant| match grant {
            Grant::From(network) => network.contains(address),
            Grant::With { authority, .. } => grant.reaches(address) && shown.is_of(authority),
        };
        if grants.iter().any(open) {
            Admission::Open
        } else if self.certificates(address).next().is_some() {
            Admission::NeedsCertificate
        } else {
            Admission::Closed
        }
    }

    /// The authorities with a certificate of which one is let in from `address`.
    pub(crate) fn certificates(
        &self,
        address: IpAddr,
    ) -> impl Iterator<Item = &CertificateAuthority> {
        let grants = match self {
            Self::Granted(grants) => grants.as_slice(),
            Self::Anyone | Self::Nobody => &[],
        };
        grants.iter().filter_map(move |grant| match grant {
            Grant::With { authority, .. } if grant.reaches(address) => Some(&**authority),
            Grant::With { .. } | Grant::From(_) => None,
        })
    }
}

impl Grant {
    /// Whether it says anything to somebody at `address`.
    fn reaches(&self, address: IpAddr) -> bool {
        match self {
            Self::From(network) => network.contains(address),
            Self::With { from: None, .. } => true,
            Self::With { from: Some(networks), .. } => {
                networks.iter().any(|network| network.contains(address))
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AuthorityId, ClientCertificate};

    fn network(name: &str, prefix: &str) -> Arc<Network> {
        let prefixes = std::iter::once(prefix.parse().unwrap()).collect();
        Arc::new(Network::new(name, prefixes, Vec::new()))
    }

    fn with(id: &str, from: Option<Vec<Arc<Network>>>) -> Grant {
        let (id, file) = (AuthorityId::new(id), format!("{id}.pem"));
        Grant::With { authority: Arc::new(CertificateAuthority { id, file }), from }
    }

    fn shown(id: &str) -> ClientCertificate {
        ClientCertificate {
            subject: "CN=somebody".to_owned(),
            vouched_by: vec![AuthorityId::new(id)],
        }
    }

    #[test]
    fn networks_and_a_certificate_are_both_asked_for_and_a_list_is_or() {
        let (team, ops) = (network("team", "192.0.2.0/24"), network("ops", "198.51.100.0/24"));
        let strangers = ClientCertificate { vouched_by: Vec::new(), ..shown("") };
        let (of_team, of_ops) = (shown("team"), shown("ops"));
        let all = [
            Shown::Nothing,
            Shown::Certificate(&strangers),
            Shown::Certificate(&of_team),
            Shown::Certificate(&of_ops),
            Shown::Fitting,
        ];
        use Admission::{Closed, NeedsCertificate as Needs, Open};
        let certificate = Who::Granted(vec![with("team", None)]);
        let both = Who::Granted(vec![with("team", Some(vec![Arc::clone(&team)]))]);
        let either = Who::Granted(vec![Grant::From(Arc::clone(&ops)), with("team", None)]);
        let lists = vec![with("team", Some(vec![team])), with("ops", Some(vec![ops]))];
        let lists = Who::Granted(lists);
        let nowhere = Who::Granted(vec![with("team", Some(Vec::new()))]);
        for (who, address, expected) in [
            (&certificate, "203.0.113.1", [Needs, Needs, Open, Needs, Open]),
            (&both, "192.0.2.1", [Needs, Needs, Open, Needs, Open]),
            (&both, "203.0.113.1", [Closed; 5]),
            (&either, "198.51.100.1", [Open; 5]),
            (&either, "203.0.113.1", [Needs, Needs, Open, Needs, Open]),
            (&lists, "192.0.2.1", [Needs, Needs, Open, Needs, Open]),
            (&lists, "198.51.100.1", [Needs, Needs, Needs, Open, Open]),
            (&lists, "203.0.113.1", [Closed; 5]),
            (&nowhere, "192.0.2.1", [Closed; 5]),
            (&Who::Anyone, "192.0.2.1", [Open; 5]),
            (&Who::Nobody, "192.0.2.1", [Closed; 5]),
        ] {
            let found = all.map(|shown| who.admits(address.parse().unwrap(), shown));
            assert_eq!(found, expected, "{address} {who:?}");
        }
    }
}
