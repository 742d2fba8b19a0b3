//! Kinds of attacks that come again under new numbers.

use super::{
    API, Entry, FORMS, Kinds, Likeness, TRIGGERS, editor::nodes, family, on, one_of,
    triggers::prototype,
};
use crate::{
    Surface,
    attacks::{
        BodyTest,
        text::{ABSOLUTE, EXPRESSION, TRAVERSAL},
    },
};

/// Nodes by which a workflow reaches n8n's own machine.
const MACHINE: [&str; 5] = [
    "n8n-nodes-base.executeCommand",
    "n8n-nodes-base.ssh",
    "n8n-nodes-base.git",
    "n8n-nodes-base.readWriteFile",
    "n8n-nodes-base.localFileTrigger",
];

pub(super) fn entries() -> Vec<Entry> {
    let signing_in = [Surface::SignIn, Surface::OauthServer];
    vec![
        family(
            "prototype-keys",
            "A field's name changes what every object is",
            "https://cwe.mitre.org/data/definitions/1321.html",
            Likeness::OnlyAttacks,
        )
        .shape(prototype(&TRIGGERS, Kinds::All))
        .shape(prototype(&API, Kinds::All))
        .shape(prototype(&signing_in, Kinds::All)),
        family(
            "file-names",
            "A file that is sent is to be put elsewhere",
            "https://cwe.mitre.org/data/definitions/22.html",
            Likeness::OnlyAttacks,
        )
        .shape(on(&TRIGGERS).body(BodyTest::FileName(TRAVERSAL)))
        .shape(on(&API).body(BodyTest::FileName(TRAVERSAL))),
        family(
            "absolute-file-names",
            "A file that is sent has a whole path for its name",
            "https://cwe.mitre.org/data/definitions/36.html",
            Likeness::Often,
        )
        .shape(on(&TRIGGERS).body(BodyTest::FileName(ABSOLUTE)))
        .advice("Block this if a workflow of yours writes files by the names they come with."),
        family(
            "form-expressions",
            "A form's field has in it what n8n would evaluate",
            "https://cwe.mitre.org/data/definitions/917.html",
            Likeness::Seldom,
        )
        .shape(on(&FORMS).field("**.*", EXPRESSION)),
        family(
            "machine-nodes",
            "A workflow reaches the machine that n8n runs on",
            "https://docs.n8n.io/hosting/securing/blocking-nodes/",
            Likeness::Often,
        )
        .shape(nodes(one_of(&MACHINE)))
        .advice("Block this if no workflow of yours needs these nodes."),
    ]
}
