//! XML, as n8n's reader makes an object of it: an element is a field of the one around it, by its
//! name in lower case; its attributes are fields of `$`.
//!
//! Source: `xml2js` with `normalizeTags` and without `explicitArray`.

use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};

use super::{DEPTH, Look, Unreadable};
use crate::attacks::field::Trail;

/// Reads a text.
pub(super) fn read(text: &str, trail: &mut Trail, look: &mut Look) -> Result<(), Unreadable> {
    let mut reader = Reader::from_str(text);
    // The text of the element that the reader is in, between two of its elements.
    let mut said = String::new();
    loop {
        match reader.read_event().map_err(|_| Unreadable::Xml)? {
            Event::Start(element) => {
                enter(&element, trail, look)?;
                said.clear();
            }
            Event::Empty(element) => {
                enter(&element, trail, look)?;
                said.clear();
                trail.leave();
            }
            Event::Text(text) => said.push_str(&text),
            Event::CData(text) => said.push_str(&text),
            Event::GeneralRef(entity) => {
                let named = quick_xml::escape::resolve_predefined_entity(&entity);
                match (entity.resolve_char_ref(), named) {
                    (Ok(Some(c)), _) => said.push(c),
                    (_, Some(text)) => said.push_str(text),
                    // n8n's reader knows no others and gives up.
                    _ => return Err(Unreadable::Xml),
                }
            }
            Event::End(_) => {
                look.field(trail, Some(said.trim()));
                said.clear();
                trail.leave();
            }
            Event::Eof => return if trail.depth() == 0 { Ok(()) } else { Err(Unreadable::Xml) },
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}

/// Goes into an element.
fn enter(element: &BytesStart<'_>, trail: &mut Trail, look: &mut Look) -> Result<(), Unreadable> {
    if trail.depth() >= DEPTH {
        return Err(Unreadable::Depth);
    }
    trail.enter(&element.name().0.to_lowercase());
    look.field(trail, None);
    trail.enter("$");
    // Looking for a second one of the same name would take longer the more there are.
    for attribute in element.attributes().with_checks(false) {
        let attribute = attribute.map_err(|_| Unreadable::Xml)?;
        trail.enter(attribute.key.0);
        look.field(trail, Some(&attribute.value));
        trail.leave();
    }
    trail.leave();
    Ok(())
}
