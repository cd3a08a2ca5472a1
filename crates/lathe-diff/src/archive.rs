use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use zip::ZipArchive;

use crate::{Likeness, Places, Rules, files};

/// Archives with more members, or with more bytes in them, are not looked into.
const MEMBERS_MAX: usize = 20_000;
const MEMBER_BYTES_MAX: u64 = 512 << 20;
const ALL_BYTES_MAX: u64 = 2 << 30;

/// Compares two zip archives member by member; nothing if a side is none. When members were written does not matter.
pub(crate) fn compare(expected: &[u8], found: &[u8], rules: &Rules) -> Option<Places> {
    Some(members(&read(expected)?, &read(found)?, rules))
}

/// The members of a zip archive by name; nothing if it is none, or too large to look into.
pub(crate) fn read(bytes: &[u8]) -> Option<BTreeMap<String, Vec<u8>>> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).ok()?;
    if MEMBERS_MAX < archive.len() {
        return None;
    }
    let mut members = BTreeMap::new();
    let mut all = 0;
    for index in 0..archive.len() {
        let member = archive.by_index(index).ok()?;
        let name = member.name().ok()?.into_owned();
        let mut content = Vec::new();
        member.take(MEMBER_BYTES_MAX + 1).read_to_end(&mut content).ok()?;
        all += content.len() as u64;
        if MEMBER_BYTES_MAX < content.len() as u64 || ALL_BYTES_MAX < all {
            return None;
        }
        members.insert(name, content);
    }
    Some(members)
}

/// Compares members by name.
pub(crate) fn members(
    expected: &BTreeMap<String, Vec<u8>>,
    found: &BTreeMap<String, Vec<u8>>,
    rules: &Rules,
) -> Places {
    let mut places = Places::default();
    for (name, content) in expected {
        let Some(other) = found.get(name) else {
            places.matters(
                format!("member `{name}`"),
                format!("{} bytes", content.len()),
                "absent",
            );
            continue;
        };
        let Some(difference) = files::compare_bytes(content, other, name, rules) else {
            continue;
        };
        for inner in difference.differences {
            let place = match inner.place.as_str() {
                "" => format!("member `{name}`"),
                place => format!("member `{name}`: {place}"),
            };
            places.add(place, inner.expected, inner.found, inner.tolerated);
        }
        if difference.likeness == Likeness::Different {
            places.any_matters = true;
        }
        places.more += difference.more;
    }
    for (name, content) in found.iter().filter(|(name, _)| !expected.contains_key(*name)) {
        places.matters(
            format!("member `{name}`"),
            "absent",
            format!("{} bytes", content.len()),
        );
    }
    if places.is_empty() {
        places.add(
            "archive",
            "the same members",
            "written at another time or way",
            true,
        );
    }
    places
}
