//! Where in the tree something applies.

use kernel::{Fields, Malformed, Uuid, parse_id};

/// The organisation above all roots. What it says holds for everybody who says nothing nearer.
pub(crate) const PLATFORM: Uuid = Uuid::nil();

/// Tiers that a tree can have.
const DEEPEST: usize = 8;

/// The organisation and the application that something is about, with the organisations above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The nearest first, the platform last.
    organisations: Vec<Uuid>,
    application: Option<Uuid>,
}

impl Place {
    /// A place; `path` goes from the root down to the organisation, and is empty for the platform.
    pub(crate) fn new(path: &[Uuid], application: Option<Uuid>) -> Self {
        Self { organisations: path.iter().rev().copied().chain([PLATFORM]).collect(), application }
    }

    /// Reads what a request says of a place. The organisation counts whether or not the path names it.
    pub(crate) fn parse(
        fields: &mut Fields,
        organisation_id: &str,
        path: &[String],
        application_id: &str,
    ) -> Option<Self> {
        let organisation = fields.read("organisation_id", parse_id(organisation_id));
        let application = fields.read_optional("application_id", application_id, parse_id);
        if path.len() > DEEPEST {
            fields.reject("organisation_path", Malformed("at most 8 organisations"));
            return None;
        }
        let ids = path
            .iter()
            .enumerate()
            .map(|(index, id)| fields.read(format!("organisation_path[{index}]"), parse_id(id)));
        let mut path = ids.collect::<Vec<_>>().into_iter().collect::<Option<Vec<_>>>()?;
        let organisation = organisation?;
        path.retain(|id| *id != organisation && *id != PLATFORM);
        if organisation != PLATFORM {
            path.push(organisation);
        }
        Some(Self::new(&path, application?))
    }

    /// The organisations, the nearest first, the platform last.
    pub(crate) fn organisations(&self) -> &[Uuid] {
        &self.organisations
    }

    /// The application first, and then none: the nil UUID.
    pub(crate) fn applications(&self) -> Vec<Uuid> {
        self.application.into_iter().chain([Uuid::nil()]).collect()
    }

    /// The organisation itself.
    pub(crate) fn organisation(&self) -> Uuid {
        self.organisations.first().copied().unwrap_or(PLATFORM)
    }

    /// The application itself, or the nil UUID.
    pub(crate) fn application(&self) -> Uuid {
        self.application.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_comes_first_and_the_platform_last() {
        let id = Uuid::from_u128;
        let texts = |ids: &[u128]| ids.iter().map(|n| id(*n).to_string()).collect::<Vec<_>>();
        let parse = |organisation: u128, path: &[u128]| {
            let organisation = id(organisation).to_string();
            let place = Place::parse(&mut Fields::default(), &organisation, &texts(path), "");
            place.unwrap().organisations.iter().map(Uuid::as_u128).collect::<Vec<_>>()
        };
        assert_eq!(parse(3, &[1, 2, 3]), [3, 2, 1, 0]);
        assert_eq!(parse(3, &[1, 2]), [3, 2, 1, 0]);
        assert_eq!(parse(3, &[]), [3, 0]);
        assert_eq!(parse(0, &[]), [0]);
    }

    #[test]
    fn a_path_is_short_and_of_ids() {
        let mut fields = Fields::default();
        let (id, long) = (Uuid::from_u128(1).to_string(), vec![String::new(); 9]);
        assert_eq!(Place::parse(&mut fields, &id, &long, "7"), None);
        assert_eq!(Place::parse(&mut fields, "", &[String::from("x")], ""), None);
        let named: Vec<_> = fields.violations().iter().map(|it| it.field.as_str()).collect();
        let expected =
            ["application_id", "organisation_path", "organisation_id", "organisation_path[0]"];
        assert_eq!(named, expected);
    }
}
