//! Where rows stood when they were last found, so that PostgreSQL need not look for them.
//!
//! `ctid` is a row's page and its item on that. In a table of millions most of what a look-up costs is the way through
//! two indexes, whose pages the processor's caches do not hold. A statement that is told where rows may stand reads
//! them there, and each that is joined to its other one tells its text: who asked for a text takes the row that has it,
//! whatever stands elsewhere by now. A text whose row is not among them is looked up as ever. So a `ctid` is a hint,
//! whatever happened to the row since: nothing of a row is remembered.

use std::collections::{HashMap, HashSet};
use std::fmt::{self, Write};
use std::hash::{BuildHasher, RandomState};
use std::num::ParseIntError;
use std::str::FromStr;

use sea_orm::sqlx::error::DatabaseError;
use sea_orm::sqlx::postgres::{PgArguments, PgRow};
use sea_orm::sqlx::types::Text;
use sea_orm::sqlx::{self, Arguments, PgConnection, Row};

use super::by_texts::{ByCtid, as_json, sql_of};

/// What a connection is told for these statements: else PostgreSQL would read a small table as a whole, by which it
/// saves pages, and compare each of its rows with each place.
pub(super) const OPTION: (&str, &str) = ("random_page_cost", "0");

/// Places of one age: as many as fit 65,536 buckets of 25 bytes, before the table would double.
const MAX_OF_AN_AGE: usize = 57_344;

/// PostgreSQL's `tid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tid {
    page: u32,
    item: u16,
}

impl fmt::Display for Tid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({},{})", self.page, self.item)
    }
}

impl FromStr for Tid {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        let inner = text.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
        // What has another form has no number either.
        let (page, item) = inner.and_then(|inner| inner.split_once(',')).unwrap_or_default();
        Ok(Self { page: page.parse()?, item: item.parse()? })
    }
}

/// By a text's hash: another text of the same hash only has a wrong hint, and no token stays in memory.
type Places = HashMap<u64, (Tid, Tid)>;

/// Where the rows of two tables stood that belong to a text, for those texts that were found of late.
#[derive(Default)]
pub(super) struct Ctids {
    recent: Places,
    /// What was recent, and was not asked for since.
    older: Places,
    hasher: RandomState,
}

impl Ctids {
    /// The rows of these texts, each of which begins with its text.
    pub(super) async fn query(
        &mut self,
        connection: &mut PgConnection,
        query: &ByCtid,
        texts: &[&str],
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let (mut known, mut places, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for text in texts {
            if let Some(place) = self.get(text) {
                known.push(*text);
                places.push(place);
            } else {
                others.push(*text);
            }
        }
        let mut rows = self.fetch(connection, query, &places, &others).await?;
        // Where a row stood there may be another one, of a text that nobody has asked for.
        let mut missing: HashSet<&str> = texts.iter().copied().collect();
        rows.retain(|row| row.try_get(0).is_ok_and(|text: &str| missing.remove(text)));
        known.retain(|text| missing.contains(text));
        if !known.is_empty() {
            for text in &known {
                self.forget(text);
            }
            rows.extend(self.fetch(connection, query, &[], &known).await?);
        }
        Ok(rows)
    }

    async fn fetch(
        &mut self,
        connection: &mut PgConnection,
        query: &ByCtid,
        places: &[(Tid, Tid)],
        texts: &[&str],
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let mut values = PgArguments::default();
        let mut add = |value: String| values.add(value).map_err(sqlx::Error::Encode);
        let sql = match (places, texts) {
            ([(first, second)], []) => {
                add(first.to_string())?;
                add(second.to_string())?;
                &query.at_place
            }
            ([], [text]) => {
                add((*text).to_owned())?;
                &query.by_text
            }
            _ => {
                add(array(places.iter().map(|(first, _)| first)))?;
                add(array(places.iter().map(|(_, second)| second)))?;
                if texts.is_empty() {
                    &query.at_places
                } else {
                    add(as_json(texts)?)?;
                    &query.at_places_or_by_texts
                }
            }
        };
        let rows = sqlx::query_with(sql_of(sql), values).fetch_all(connection).await?;
        if !texts.is_empty() {
            for row in &rows {
                self.learn(row);
            }
        }
        Ok(rows)
    }

    fn get(&mut self, text: &str) -> Option<(Tid, Tid)> {
        let hash = self.hasher.hash_one(text);
        if let Some(known) = self.recent.get(&hash) {
            return Some(*known);
        }
        let known = self.older.remove(&hash)?;
        self.insert(hash, known);
        Some(known)
    }

    fn forget(&mut self, text: &str) {
        let hash = self.hasher.hash_one(text);
        self.recent.remove(&hash);
        self.older.remove(&hash);
    }

    /// Of a row that was found by its text; of one that was found by a hint nothing is told.
    fn learn(&mut self, row: &PgRow) {
        let place = |back| {
            let place: Option<Text<Tid>> = row.try_get(row.len().checked_sub(back)?).ok()?;
            Some(place?.0)
        };
        let Some(places) = place(2).zip(place(1)) else { return };
        if let Ok(text) = row.try_get::<&str, _>(0) {
            self.insert(self.hasher.hash_one(text), places);
        }
    }

    fn insert(&mut self, hash: u64, places: (Tid, Tid)) {
        if let Some(known) = self.recent.get_mut(&hash) {
            *known = places;
            return;
        }
        if self.recent.len() >= MAX_OF_AN_AGE {
            std::mem::swap(&mut self.recent, &mut self.older);
            self.recent.clear();
        }
        self.recent.insert(hash, places);
    }
}

/// An array's text.
fn array<'a>(tids: impl Iterator<Item = &'a Tid>) -> String {
    let mut text = String::from("{");
    for tid in tids {
        let comma = if text.len() > 1 { "," } else { "" };
        // A text takes whatever is written.
        let _ = write!(text, "{comma}\"{tid}\"");
    }
    text.push('}');
    text
}

/// Whether the server may have refused the statement for its `ctid`s: a view has none, a user may have no right to read
/// them, a table may be stored in a way that has no use for them (`XX000`), and a database that only speaks as
/// PostgreSQL does may not know them.
pub(super) fn may_be_refused(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(DatabaseError::code);
    code.is_some_and(|code| ["42", "0A", "XX"].iter().any(|class| code.starts_with(class)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(page: u32) -> (Tid, Tid) {
        (Tid { page, item: 1 }, Tid { page, item: 2 })
    }

    #[test]
    fn a_tid_is_a_page_and_an_item() {
        for text in ["(0,0)", "(258,3)", "(4294967295,65535)"] {
            assert_eq!(text.parse::<Tid>().unwrap().to_string(), text);
        }
        for text in ["", "()", "(1)", "(1,2", "1,2", "(-1,2)", "(1,65536)", "(1,2,3)"] {
            assert!(text.parse::<Tid>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_known_is_bounded_and_what_is_asked_for_stays() {
        let mut ctids = Ctids::default();
        let often = ctids.hasher.hash_one("often");
        ctids.insert(often, places(0));
        for hash in 0..500_000 {
            ctids.insert(hash, places(1));
            // A row that has moved takes no room.
            ctids.insert(hash, places(2));
            assert_eq!(ctids.recent.get(&hash), Some(&places(2)));
            if hash % 50_000 == 0 {
                assert_eq!(ctids.get("often"), Some(places(0)));
            }
        }
        assert!(!ctids.recent.contains_key(&0) && !ctids.older.contains_key(&0));
        for age in [&ctids.recent, &ctids.older] {
            assert!(age.capacity() <= MAX_OF_AN_AGE);
        }
    }
}
