//! Queries by a text, and by many of them at once.

use std::sync::Arc;

use sea_orm::DbBackend;
use sea_orm::sqlx::{self, AssertSqlSafe};

/// A query by one text, and by any number of them as a JSON list.
///
/// Why not `= ANY($1)`? PostgreSQL estimates its rows by the length of the array: it finds a plan for this length
/// better than the prepared one and plans anew most of the time, or reads the whole table, comparing each key with
/// each text. For a JSON list of any length it guesses 100 rows, so that one prepared plan serves all; and `OFFSET 0`
/// keeps it from joining the list to the whole table: each text is looked up by itself, by the index once the table has
/// more than a few pages, if its column has one, as Django's have. One text needs no list.
#[derive(Debug, Clone)]
pub struct ByTexts {
    pub(super) one: Arc<str>,
    pub(super) many: Arc<str>,
    /// By where rows may stand, for PostgreSQL.
    pub(super) by_ctid: ByCtid,
}

/// The statements of [`Ctids`](super::ctid::Ctids): rows at places, whatever their text is, and rows by texts, with the
/// places where they stand as two columns more.
#[derive(Debug, Clone)]
pub(super) struct ByCtid {
    /// `$1` and `$2` are the places in both tables, `(0,1)`.
    pub at_place: Arc<str>,
    /// `$1` and `$2` are lists of them, `{"(0,1)","(0,2)"}`.
    ///
    /// Why two lists, and not each pair by itself? PostgreSQL reads a list of places in one go. The length of one that a
    /// subquery makes it does not guess anew each time, so that one plan serves all here too.
    pub at_places: Arc<str>,
    pub by_text: Arc<str>,
    /// `$3` is the list of texts.
    pub at_places_or_by_texts: Arc<str>,
}

/// What is selected by a text.
#[derive(Debug)]
pub struct Selected<'a> {
    /// The first is the text.
    pub columns: &'a str,
    /// Two tables that are joined.
    pub from: &'a str,
    /// Their aliases; the first has the text.
    pub tables: [&'a str; 2],
    /// What is compared to the text.
    pub text: &'a str,
}

impl ByTexts {
    pub(super) fn new(selected: &Selected<'_>, backend: DbBackend) -> Self {
        let Selected { columns, from, text, .. } = *selected;
        let select = format!("SELECT {columns} FROM {from} WHERE {text}");
        let many = match backend {
            DbBackend::Sqlite => format!("{select} IN (SELECT value FROM json_each($1))"),
            _ => by_list(selected, "$1"),
        };
        Self {
            one: format!("{select} = $1").into(),
            many: many.into(),
            by_ctid: ByCtid::new(selected),
        }
    }

    /// The query by one text, its only value.
    #[must_use]
    pub fn one(&self) -> &str {
        &self.one
    }
}

impl ByCtid {
    fn new(selected: &Selected<'_>) -> Self {
        let Selected { columns, from, tables: [first, second], text } = *selected;
        let rows = |[of_first, of_second]: [String; 2]| {
            format!("FROM {from} WHERE {first}.ctid {of_first} AND {second}.ctid {of_second}")
        };
        let one = |place| format!("= CAST(CAST({place} AS text) AS pg_catalog.tid)");
        let any = |places| {
            let places = format!("CAST(CAST({places} AS text) AS pg_catalog.tid[])");
            format!("= ANY (ARRAY (SELECT pg_catalog.unnest({places})))")
        };
        let at_places = rows(["$1", "$2"].map(any));
        let with_places =
            format!("{columns}, CAST({first}.ctid AS text), CAST({second}.ctid AS text)");
        let by_texts = by_list(&Selected { columns: &with_places, ..*selected }, "$3");
        let both = format!(
            "SELECT {columns}, CAST(NULL AS text), CAST(NULL AS text) {at_places} UNION ALL {by_texts}"
        );
        Self {
            at_place: format!("SELECT {columns} {}", rows(["$1", "$2"].map(one))).into(),
            at_places: format!("SELECT {columns} {at_places}").into(),
            by_text: format!("SELECT {with_places} FROM {from} WHERE {text} = $1").into(),
            at_places_or_by_texts: both.into(),
        }
    }
}

/// `PostgreSQL`'s query by the JSON list of `texts`.
fn by_list(selected: &Selected<'_>, texts: &str) -> String {
    let Selected { columns, from, text, .. } = *selected;
    format!(
        "SELECT found.* FROM pg_catalog.json_array_elements_text(CAST({texts} AS json)) AS wanted (text) \
         CROSS JOIN LATERAL (SELECT {columns} FROM {from} WHERE {text} = wanted.text OFFSET 0) AS found"
    )
}

pub(super) fn as_json(texts: &[&str]) -> Result<String, sqlx::Error> {
    serde_json::to_string(texts).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// Made of names in this program only.
pub(super) fn sql_of(statement: &Arc<str>) -> AssertSqlSafe<Arc<str>> {
    AssertSqlSafe(Arc::clone(statement))
}
