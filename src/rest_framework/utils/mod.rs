//! `rest_framework.utils`

pub mod mediatypes;
